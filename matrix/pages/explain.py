"""Prints an answer for a terminal: three lines of verdict, how to check it, code to paste, cells and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matrix.catalogue import STACK_TITLES
from matrix.pages.words import code, prose

if TYPE_CHECKING:
    from matrix.pages.answers import Answer
    from matrix.pages.remedy_files import Fix

#: What the three lines of a verdict say.
VERDICT = ("What happened", "How sure", "What to do")
#: How many checks are printed for each cause if there are several.
CHECKS = 2


def printed(answer: Answer) -> str:
    """Return an answer's words, lines of at most 100 characters but for code."""
    if not answer.known:
        return "\n".join(_unknown(answer))
    lines = [line for name, text in verdict_lines(answer) for line in prose(f"{name}: {text}")]
    lines += [line for note in answer.notes for line in prose(f"Note: {note}")]
    lines += ["", *_checks(answer)]
    for fix in answer.fixes:
        lines += ["", *_fix(fix)]
    if answer.fixes and answer.orm is None:
        lines += ["", *prose("--orm django, --orm sqlalchemy or --orm none prints the fix that covers most for it.")]
    if answer.shown:
        lines += ["", "Seen in:"]
    for hazard in answer.shown:
        lines += prose(f"{hazard.example}: {hazard.title}", 2)
        lines += prose(f"Why: {hazard.why}", 4) if hazard.why else []
        lines += [f"    {cell}: {outcome}" for cell, outcome in hazard.cells.items()]
    if answer.links or answer.page:
        lines += ["", "Links:", *([f"  {answer.page}"] if answer.page else [])]
        lines += [f"  {url}" for url in answer.links.values()]
    return "\n".join(lines)


def verdict_lines(answer: Answer) -> list[tuple[str, str]]:
    """Return the three lines of a verdict, each with its name."""
    return list(zip(VERDICT, answer.verdict, strict=True))


def _unknown(answer: Answer) -> list[str]:
    if not answer.message:
        return ["Unknown: there is no message in the text."]
    lines = prose(f"Unknown: no cell raised it, and no report of it is known here: {answer.message[:200]}")
    lines += ["", "The nearest are:", *(line for title in answer.nearest for line in prose(title, 2))]
    return [*lines, "", "docs/symptoms.md lists all that is known."]


def _checks(answer: Answer) -> list[str]:
    first, *others = answer.causes
    if first.sure != "possible":
        lines = ["How to check (one minute):", *prose(first.differs, 2)]
        lines += [line for check in first.checks for line in prose(f"* {check}", 2)]
        for other in others:
            lines += ["", *prose(f"Otherwise: {other.title}. {other.differs}"), *prose(f"To do: {other.fix}", 2)]
        return lines
    lines = ["How to check (one minute):"]
    for cause in answer.causes:
        lines += prose(f"{cause.title}?", 2) + prose(cause.differs, 4)
        lines += [line for check in cause.checks[:CHECKS] for line in prose(f"* {check}", 4)]
        lines += prose(f"To do: {cause.fix}", 4)
    return lines


def _fix(fix: Fix) -> list[str]:
    place = ", ".join(filter(None, [fix.driver or "every driver", STACK_TITLES[fix.stack], fix.launcher]))
    how = "run as printed with" if fix.launcher else "tested with"
    lines = prose(f"Code, if it is a fork ({fix.remedy}, {how} {place}): {fix.title}")
    if fix.program:
        lines += prose(
            f"Complete files of the program in {fix.program} under {fix.launcher}; change yours likewise.", 2
        )
        lines += [] if fix.files else prose("Nothing has to be changed in the files.", 2)
    for name, text in fix.files.items():
        lines += ["", *([f"  {name}:", ""] if name else [])]
        lines += [f"    # Yours: {', '.join(fix.yours)}"] if fix.yours else []
        lines += code(text)
    lines += ["", *(line for sentence in fix.cost for line in prose(sentence, 2))]
    lines += (
        prose(f"These hold there too: {', '.join(fix.others)}; `nox -s advise` prints them.", 2) if fix.others else []
    )
    return [*lines, f"  From {fix.source}; seen in:", *(f"    {cell}: {seen}" for cell, seen in fix.cells.items())]
