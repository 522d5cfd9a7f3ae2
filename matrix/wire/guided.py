"""Looks for inputs that break a decoder by the code that they reach: `nox -s fuzz -- --guided --seconds 600`.

atheris changes an input wherever that reaches new branches of the decoders, which random changes seldom do. What holds
for each input is what `matrix.wire.fuzz` checks. New inputs are kept in a folder, from which `--merge` takes the few
that reach everything that all of them reach; those are committed, and a test reads them.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["matrix.wire"]):
    from matrix.wire import fuzz

#: Bytes of an input at most. The longest message of the corpus is shorter, and a decoder keeps 4096 bytes of any.
LONGEST = 8192


def check(data: bytes) -> None:
    """Check one input; whatever this raises is what is looked for."""
    protocol, conversation = fuzz.from_bytes(data)
    # How it is cut depends on nothing but the input, so that an input that breaks a decoder always does.
    fuzz.check(protocol, conversation, random.Random(len(data)))


def main() -> None:
    """Run for some seconds; end with 0 if no input broke a decoder. atheris prints one that does, and ends with 77."""
    parser = argparse.ArgumentParser(prog="python -m matrix.wire.guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long to run (default 600)")
    parser.add_argument("--inputs", type=Path, help="the folder of inputs that were found, to go on from and to add to")
    parser.add_argument("--merge", action="store_true", help=f"put the fewest of them into {fuzz.FOUND.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(folder)
        for path in fuzz.CORPUS.glob("*.hex"):
            protocol = path.name.partition("-")[0]
            conversation = fuzz.read_conversation(path)
            for at in range(0, len(conversation), 8):
                pieces = [*conversation[:6], *conversation[at : at + 8]]
                (seeds / f"{path.stem}-{at}").write_bytes(fuzz.to_bytes(protocol, pieces)[:LONGEST])
        inputs = options.inputs or seeds
        inputs.mkdir(parents=True, exist_ok=True)
        if options.merge:
            shutil.rmtree(fuzz.FOUND, ignore_errors=True)
            fuzz.FOUND.mkdir()
            arguments = ["-merge=1", str(fuzz.FOUND), str(seeds), str(inputs)]
        else:
            arguments = [f"-max_total_time={options.seconds}", f"-max_len={LONGEST}", str(inputs), str(seeds)]
        atheris.Setup([sys.argv[0], "-rss_limit_mb=2048", *arguments], check)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
