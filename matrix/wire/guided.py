"""Looks for inputs that break a decoder by the code that they reach: `nox -s fuzz -- --guided --seconds 600`.

atheris changes an input wherever that reaches new branches of the decoders, which random changes seldom do. What holds
for each input is what `matrix.wire.fuzz` checks. New inputs are kept in a folder, from which `--merge` takes the few
that reach everything that all of them reach; those are committed, and tests check them.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import zipfile
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


def main() -> int:
    """Run for some seconds; return 0 if no input broke a decoder. atheris prints one that does, and 77 is returned."""
    parser = argparse.ArgumentParser(prog="python -m matrix.wire.guided", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long to run (default 600)")
    parser.add_argument("--inputs", type=Path, help="the folder of inputs that were found, to go on from and to add to")
    parser.add_argument("--merge", action="store_true", help=f"put the fewest of them into {fuzz.FOUND.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds, merged, again = folder / "seeds", folder / "merged", folder / "again"
        for path in (seeds, merged):
            path.mkdir()
        # atheris ends its process by itself, and to merge starts it again by this name.
        again.write_text(f'#!/bin/sh\nAGAIN="$0" exec "{sys.executable}" -m matrix.wire.guided "$@"\n')
        again.chmod(0o700)
        for path in fuzz.CORPUS.glob("*.hex"):
            conversation = fuzz.read_conversation(path)
            for at in range(0, len(conversation), 8):
                pieces = [*conversation[:6], *conversation[at : at + 8]]
                data = fuzz.to_bytes(path.name.partition("-")[0], pieces)
                (seeds / f"{path.stem}-{at}").write_bytes(data[:LONGEST])
        inputs = options.inputs or folder / "inputs"
        inputs.mkdir(parents=True, exist_ok=True)
        if not options.merge:
            return _atheris(again, f"-max_total_time={options.seconds}", inputs, seeds)
        status = _atheris(again, "-merge=1", merged, seeds, inputs)
        if status == 0:
            with zipfile.ZipFile(fuzz.FOUND, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(merged.iterdir()):
                    archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes(), zipfile.ZIP_DEFLATED)
        return status


def _atheris(program: Path, *arguments: object) -> int:
    command = [str(program), f"-max_len={LONGEST}", "-rss_limit_mb=2048", *map(str, arguments)]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    if any(re.match("-[a-z]", argument) for argument in sys.argv[1:]):  # atheris's own, from `main`
        atheris.Setup([os.environ["AGAIN"], *sys.argv[1:]], check)
        atheris.Fuzz()
    sys.exit(main())
