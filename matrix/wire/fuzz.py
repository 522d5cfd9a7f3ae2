"""Throws mutations of real conversations at the decoders: `python -m matrix.wire.fuzz --seconds 20`.

A decoder must never raise, must read the same however the bytes are cut, must count every byte, must hold no more than
two captures' worth of them, and all that it says must be describable and valid JSON. Exit status 1 where one of these
does not hold, with the seed that shows it; 2 where there is no corpus.
"""

from __future__ import annotations

import argparse
import itertools
import random
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
    from collections.abc import Sequence

    from matrix.records.wire import Sender
    from matrix.wire.decoder import Decoder

Conversation = list[tuple["Sender", bytes]]
"""Who sent what, in the order in which it came."""

CORPUS = Path(__file__).parents[2] / "tests" / "corpus"
_HEADERS = 32  # bytes of headers that a decoder may hold beside the captures


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until the time is over or a property does not hold."""
    parser = argparse.ArgumentParser(prog="python -m matrix.wire.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, help="check this one input only")
    options = parser.parse_args(arguments)
    corpus = [(path, read_conversation(path)) for path in sorted(CORPUS.glob("*.hex"))]
    if not corpus:
        print(f"there are no conversations in {CORPUS}", file=sys.stderr)
        return 2
    end = time.monotonic() + options.seconds
    start = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    count = 0
    while count == 0 or (options.seed is None and time.monotonic() < end):
        seed = start + count
        chance = random.Random(seed)
        path, conversation = chance.choice(corpus)
        # A conversation in the other protocol has to be survived as well.
        protocol = path.name.partition("-")[0] if chance.random() < 0.95 else chance.choice(sorted(DECODERS))
        try:
            check(protocol, mutate(conversation, chance), chance)
        except Exception as error:  # whatever a decoder raises is what is looked for
            print(f"seed {seed} ({path.name} as {protocol}): {type(error).__name__}: {error}", file=sys.stderr)
            if options.seed is not None:
                raise
            return 1
        count += 1
    print(f"{count} inputs from {len(corpus)} conversations, no violation (seeds from {start})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
