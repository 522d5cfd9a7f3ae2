"""What people claim: the outcomes that a cell may have, and why."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from matrix.records.outcomes import Outcome

#: What `--update` writes where a person has to name the reason; no reason has this name, so that it fails until then.
UNREVIEWED = "to-be-reviewed"

FixIn = Literal["you", "driver", "orm", "server", "nothing"]
Link = Annotated[str, msgspec.Meta(pattern="^https://")]


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a cell is claimed to do: every outcome that it may have, and the id of the reason."""

    outcomes: tuple[Outcome, ...]
    reason: str
    note: str = ""

    @property
    def is_race(self) -> bool:
        """Whether more than one outcome is allowed, so that one run proves little."""
        return len(self.outcomes) > 1


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The line of source that a reason rests on, as it was read in one version of a package.

    Where the package is Python, `object` (`module:qualified.name`) must hold the text `contains`.
    """

    package: str
    version: str
    file: str
    line: Annotated[int, msgspec.Meta(ge=1)]
    url: Link
    object: Annotated[str, msgspec.Meta(pattern=r"^[\w.]+:[\w.]+$")] | None = None
    contains: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where one of `object` and `contains` is there without the other."""
        if (self.object is None) != (self.contains is None):
            raise ValueError("`object` and `contains` go together")


class Reason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cause, once: what happens, who has to change something, and where that can be checked."""

    sentence: str
    fix_in: FixIn
    link: Link | None = None
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where there is nothing to check it by."""
        if self.link is None and not self.sources:
            raise ValueError("a reason needs a `link` or `sources`")
