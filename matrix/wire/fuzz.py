"""Throws mutations of real conversations at the decoders: `python -m matrix.wire.fuzz --seconds 20`, or `nox -s fuzz`.

A decoder must never raise, must read the same however the bytes are cut, must count every byte, must hold no more than
two captures' worth of them, and all that it says must be describable and valid JSON. Exit status 1 where one of these
does not hold, with the seed that shows it; 2 where there is no corpus. `matrix.wire.guided` looks for inputs by the
code that they reach instead.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import multiprocessing
import os
import random
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from matrix.records.wire import Event
from matrix.wire.describe import describe
from matrix.wire.framer import CAPTURE
from matrix.wire.recorder import DECODERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matrix.records.wire import Sender
    from matrix.wire.decoder import Decoder

Conversation = list[tuple["Sender", bytes]]
"""Who sent what, in the order in which it came."""

CORPUS = Path(__file__).parents[2] / "tests" / "corpus"
#: The inputs that `matrix.wire.guided` found, an archive.
FOUND = CORPUS / "found.zip"
_HEADERS = 32  # bytes of headers that a decoder may hold beside the captures
#: Pieces of a conversation that an input is made of: the first few, which start the session, and some of the others.
_BEGINNING, _OTHERS = 6, 6
#: Inputs that a process checks before it says how it is doing.
_BATCH = 2_000
#: In an input as bytes: the bit that says that the server sent a piece, and the most bytes that a piece has.
_FROM_SERVER, _LONGEST = 0x8000, 0x7FFF


def read_conversation(path: Path) -> Conversation:
    """Read a corpus file: a line each, `>` or `<` for client or server and the bytes as hex digits."""
    conversation: Conversation = []
    for line in path.read_text().splitlines():
        mark, _, digits = line.partition(" ")
        if mark in "<>" and digits:
            conversation.append(("client" if mark == ">" else "server", bytes.fromhex(digits)))
    return conversation


def decode(decoder: Decoder, conversation: Conversation) -> list[Event]:
    """Return all events of a conversation; a piece's number stands for its time."""
    events: list[Event] = []
    for number, (sender, data) in enumerate(conversation):
        events += decoder.feed(sender, data, float(number))
    return [*events, *decoder.end("client"), *decoder.end("server")]


def timeless(events: list[Event]) -> list[Event]:
    """Return the events without what depends on how the bytes were cut: their times."""
    return [replace(event, at=0.0) for event in events]


def check(protocol: str, conversation: Conversation, chance: random.Random) -> None:
    """Decode a conversation, whole and in pieces; raise `AssertionError`, or whatever the decoder raised."""
    cut: Conversation = []
    for sender, data in conversation:
        places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 1, 3, 9))))
        cut += [(sender, data[a:b]) for a, b in itertools.pairwise([0, *places, len(data)])]
    decoder = DECODERS[protocol]()
    events = decode(decoder, conversation)
    assert timeless(events) == timeless(decode(DECODERS[protocol](), cut)), "the cutting makes a difference"
    assert decoder.held <= 2 * CAPTURE + _HEADERS, f"{decoder.held} bytes held"
    for sender in ("client", "server"):
        sent = sum(len(data) for each, data in conversation if each == sender)
        counted = sum(event.length for event in events if event.sender == sender)
        assert counted == sent, f"{counted} of the {sender}'s {sent} bytes counted"
    assert msgspec.json.decode(msgspec.json.encode(events), type=list[Event]) == events, "not what was written"
    for event in events:
        phrase = describe(event)
        assert phrase.isprintable(), f"{phrase!r} is not one printable line"


def mutate(conversation: Conversation, chance: random.Random) -> Conversation:
    """Return a copy with a few things wrong."""
    pieces = list(conversation)
    for _ in range(chance.randint(1, 4)):
        if not pieces:
            break
        place = chance.randrange(len(pieces))
        sender, data = pieces[place]
        at = chance.randrange(len(data) + 1)
        match chance.randrange(8):
            case 0:  # flip a bit
                changed = bytearray(data)
                if changed:
                    changed[at % len(changed)] ^= 1 << chance.randrange(8)
                pieces[place] = sender, bytes(changed)
            case 1:  # a byte that is often a limit
                pieces[place] = sender, data[:at] + bytes([chance.choice((0, 1, 127, 251, 254, 255))]) + data[at + 1 :]
            case 2:  # cut off
                pieces[place] = sender, data[:at]
            case 3:  # leave out
                del pieces[place]
            case 4:  # say it twice
                pieces.insert(place, pieces[place])
            case 5:  # change the order
                other = chance.randrange(len(pieces))
                pieces[place], pieces[other] = pieces[other], pieces[place]
            case 6:  # random bytes in between
                pieces[place] = sender, data[:at] + chance.randbytes(chance.randrange(64)) + data[at:]
            case _:  # two writers cut into each other
                _, more = pieces[chance.randrange(len(pieces))]
                pieces[place] = sender, data[:at] + more + data[at:]
    return pieces


def excerpt(conversation: Conversation, chance: random.Random) -> Conversation:
    """Return how a conversation begins, and a few of the pieces that follow each other later: short inputs are many."""
    at = chance.randrange(len(conversation))
    return [*conversation[:_BEGINNING], *conversation[max(at, _BEGINNING) : at + chance.randint(1, _OTHERS)]]


def to_bytes(protocol: str, conversation: Conversation) -> bytes:
    """Return an input as bytes: the protocol's number, and for each piece its sender and length in two bytes."""
    out = bytearray([sorted(DECODERS).index(protocol)])
    for sender, data in conversation:
        for at in range(0, len(data), _LONGEST):
            piece = data[at : at + _LONGEST]
            out += (len(piece) | (_FROM_SERVER if sender == "server" else 0)).to_bytes(2) + piece
    return bytes(out)


def from_bytes(data: bytes) -> tuple[str, Conversation]:
    """Return what any bytes mean as an input; the inverse of `to_bytes`."""
    protocols = sorted(DECODERS)
    conversation: Conversation = []
    at = 1
    while at + 2 <= len(data):
        head = int.from_bytes(data[at : at + 2])
        at += 2
        sender: Sender = "server" if head & _FROM_SERVER else "client"
        conversation.append((sender, data[at : at + (head & _LONGEST)]))
        at += head & _LONGEST
    return protocols[data[0] % len(protocols) if data else 0], conversation


def check_seed(seed: int, corpus: Sequence[tuple[Path, Conversation]]) -> None:
    """Check the input that a seed stands for; raise what `check` raises, with the seed noted."""
    chance = random.Random(seed)
    path, conversation = chance.choice(corpus)
    # A conversation in the other protocol has to be survived as well.
    protocol = path.name.partition("-")[0] if chance.random() < 0.95 else chance.choice(sorted(DECODERS))
    try:
        check(protocol, mutate(excerpt(conversation, chance), chance), chance)
    except Exception as error:
        error.add_note(f"seed {seed} ({path.name} as {protocol})")
        raise


def check_seeds(seeds: range) -> int:
    """Check the inputs of some seeds, in a process of its own; return the most memory that it held, in bytes."""
    corpus = _corpus()
    for seed in seeds:
        check_seed(seed, corpus)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _corpus() -> list[tuple[Path, Conversation]]:
    return [(path, read_conversation(path)) for path in sorted(CORPUS.glob("*.hex"))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the time is over, the inputs are checked, or a property does not hold."""
    parser = argparse.ArgumentParser(prog="python -m matrix.wire.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long to run (default 20)")
    parser.add_argument("--inputs", type=int, help="how many inputs to check, however long it takes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    parser.add_argument("--seed", type=int, help="check this one input only")
    options = parser.parse_args(arguments)
    corpus = _corpus()
    if not corpus:
        print(f"there are no conversations in {CORPUS}", file=sys.stderr)
        return 2
    if options.seed is not None:
        check_seed(options.seed, corpus)
        print(f"1 input, no violation (seed {options.seed})")
        return 0
    start = random.SystemRandom().randrange(1 << 32)
    began = said = time.monotonic()
    batches = _batches(start, options.inputs, began + options.seconds)
    done = memory = 0
    try:
        for count, held in _checked(batches, options.jobs):
            done, memory = done + count, max(memory, held)
            if time.monotonic() - said > 10:
                said = time.monotonic()
                print(f"{done} inputs, {done / (said - began):.0f} a second, {memory >> 20} MiB", flush=True)
    except Exception as error:  # whatever a decoder raises is what is looked for
        print(
            f"{' '.join(getattr(error, '__notes__', ['an input']))}: {type(error).__name__}: {error}", file=sys.stderr
        )
        return 1
    print(
        f"{done} inputs from {len(corpus)} conversations, no violation (seeds from {start});"
        f" at most {memory >> 20} MiB a process"
    )
    return 0


def _batches(start: int, inputs: int | None, until: float) -> Iterator[range]:
    """Yield the seeds from `start` on, in batches: as many as there are `inputs`, else as long as there is time."""
    given = 0
    while (given < inputs) if inputs is not None else (given == 0 or time.monotonic() < until):
        size = _BATCH if inputs is None else min(_BATCH, inputs - given)
        yield range(start + given, start + given + size)
        given += size


def _checked(batches: Iterator[range], jobs: int) -> Iterator[tuple[int, int]]:
    """Check batches in some processes, or in this one; yield for each its size and the memory that it took."""
    if jobs == 1:
        for seeds in batches:
            yield len(seeds), check_seeds(seeds)
        return
    context = multiprocessing.get_context("forkserver")
    with concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context) as pool:
        running: dict[concurrent.futures.Future[int], int] = {}
        while True:
            for seeds in itertools.islice(batches, 2 * jobs - len(running)):
                running[pool.submit(check_seeds, seeds)] = len(seeds)
            if not running:
                return
            ended, _ = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            try:
                for future in ended:
                    yield running.pop(future), future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


if __name__ == "__main__":
    sys.exit(main())
