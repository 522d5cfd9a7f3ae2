"""Steps as a test writes them: `40 child 1 look up 101: order 101, session 7`, which begins with milliseconds."""

from __future__ import annotations

import re

from matrix.records.steps import Step, check

#: Noon of some day: the moment 0 of every run that is written.
NOON = 1_700_049_600.0

_STEP = re.compile(
    r"(?P<at>[\d.e+-]+) (?P<who>parent|child \d+)(?:/(?P<thread>\w+))? (?P<action>[a-z -]*?[a-z])(?: (?P<about>\d+))?"
    r"(?:: (?:order (?P<order>\d+), session (?P<session>\d+)|done, session (?P<connected>\d+)|done, over (?P<over>\w+)"
    r"|raised (?P<error>[\w.]+)(?: (?P<code>\w+))?: ?(?P<message>.*)|(?P<kind>exit|signal|row) (?P<text>.+)"
    r"|(?P<word>done|nothing)|(?P<state>.+)))?"
)


def written(*texts: str) -> list[Step]:
    """Return the steps that some texts tell of, with pid 100 for the parent and 101 for child 1."""
    return [_step(text) for text in texts]


def _step(text: str) -> Step:
    match = _STEP.fullmatch(text)
    assert match, text
    has = match.groupdict()
    ended = text.endswith(":") or ": " in text
    session = has["session"] or has["connected"]
    result = (
        has["kind"]
        or has["word"]
        or ("order" if has["order"] else "raised" if has["error"] else "done" if session or has["over"] else "state")
    )
    step = Step(
        who=has["who"],
        thread=has["thread"] or "",
        pid=100 + int([*has["who"].split(), "0"][1]),
        at=NOON + float(has["at"]) / 1000,
        action=has["action"],
        about=int(has["about"]) if has["about"] else None,
        result=result if ended else None,  # type: ignore[arg-type]  # one of the words of the pattern
        order=int(has["order"]) if has["order"] else None,
        session=int(session) if session else None,
        error=has["error"],
        code=has["code"],
        text=has["message"] if has["error"] else has["text"] or has["over"] or has["state"],
    )
    check(step)
    return step
