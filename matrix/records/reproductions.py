"""What is known of a reproduction, from `reproductions/<name>.toml`, and what its script did when it was run last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from matrix.files import write_text
from matrix.records.claim import Link
from matrix.records.reading import read_json

if TYPE_CHECKING:
    from pathlib import Path

#: Lines that a script may have: a maintainer reads it in one go.
MOST_LINES = 25
#: What a script exits with while the defect is there, and once it is fixed.
DEFECT, FIXED = 1, 0


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the script, `replace` by `by`, with which it exits 0; `what` says what that does."""

    what: str
    replace: str
    by: str


class Reproduction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a bug report needs besides the script.

    `driver` is the driver whose environment and server the script is run with. `tracker` is where a report would go.
    `versions` are the distributions that it names. `reasons` are ids in `matrix/reasons.toml`, whose sources it quotes.
    `fix` says what a fix could be. `threads` are public discussions that ask for it, by title.
    """

    title: str
    driver: str
    tracker: Link
    versions: tuple[str, ...]
    reasons: tuple[str, ...]
    fix: str
    control: Control
    threads: dict[str, Link] = {}


class Reproduced(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a script printed and exited with, as it stands and with its control's change."""

    status: Annotated[int, msgspec.Meta(ge=0)]
    output: str
    control_status: Annotated[int, msgspec.Meta(ge=0)]
    control_output: str
    versions: dict[str, str]


def read(folder: Path, name: str) -> Reproduced | None:
    """Return what a reproduction did, None if it was not run; raise MatrixError if the file is bad."""
    path = _path(folder, name)
    return read_json(path, Reproduced, hint="delete it and run again") if path.exists() else None


def write(folder: Path, name: str, ran: Reproduced) -> None:
    """Write what a reproduction did into a folder of results."""
    write_text(_path(folder, name), msgspec.json.format(msgspec.json.encode(ran), indent=2).decode() + "\n")


def _path(folder: Path, name: str) -> Path:
    return folder / "reproductions" / f"{name}.json"
