"""Shows one cell: what the example does, what happened in which order, outcome, claim, reason and remedy."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from matrix import catalogue
from matrix.catalogue.claims import claims, reasons
from matrix.errors import MatrixError
from matrix.records import old_results as observations
from matrix.records.outcomes import OUTCOMES
from matrix.report.table import COLOURS, SIGNS

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

WIDTH = 100


def find(folder: Path, key: str) -> dict[str, Any]:
    """Return everything that is known of one cell, as plain data; raise MatrixError where nothing was observed of it.

    Keys: `cell` (its observation), `evidence` (its timeline or None), `example` (title, kind, counterparts, file),
    `claim` (or None), `reason` (its table in reasons.toml with its `id`, or None).
    """
    cells = {cell.id: cell for cell in catalogue.cells()}
    if key not in cells:
        matching = catalogue.select([key], catalogue.cells())
        if len(matching) > 1:
            names = ", ".join(cell.id for cell in matching[:4])
            raise MatrixError(f"{key!r} names {len(matching)} cells, and one can be shown: {names}, ...")
        key = matching[0].id
    cell = cells[key]
    observed = observations.read(folder / f"{cell.driver}.json").get(key)
    if observed is None:
        raise MatrixError(f'{key}: nothing was observed yet; nox -s "matrix({cell.driver})" -- --only {key}')
    example = catalogue.examples()[cell.stack, cell.example]
    claim = claims(cell.driver).get(cell)
    reason = msgspec.to_builtins(reasons()).get(claim.reason) if claim else None
    return {
        "cell": observed,
        "evidence": observations.read_evidence(folder, key),
        "example": {
            "title": example.title,
            "kind": example.kind,
            "file": str(example.path),
            "counterparts": [
                {"name": name, "file": str(catalogue.examples()[cell.stack, name].path)}
                for name in example.counterparts
                if (cell.stack, name) in catalogue.examples()
            ],
        },
        "claim": {"outcomes": list(claim.outcomes), "note": claim.note} if claim else None,
        "reason": {"id": claim.reason, **reason} if claim and reason else None,
    }


def as_json(found: dict[str, Any]) -> str:
    """Return what is known of a cell for a machine."""
    return json.dumps(found, indent=1, ensure_ascii=False)


def as_text(found: dict[str, Any], *, colour: bool, width: int = WIDTH) -> str:
    """Return what is known of a cell for a person, at most `width` columns wide."""
    console = Console(width=width, force_terminal=colour, color_system="standard" if colour else None, highlight=False)
    with console.capture() as capture:
        console.print(_page(found))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def _page(found: dict[str, Any]) -> RenderableType:
    cell, example = found["cell"], found["example"]
    sign = SIGNS[cell["outcome"]]
    parts: list[RenderableType] = [
        Text(cell["id"], style="bold"),
        Text(example["title"]),
        Text(f"{example['file']} ({example['kind']})", style="dim"),
        Text(),
    ]
    parts.append(_timeline(found["evidence"]) if found["evidence"] else Text("\n".join(cell["transcript"])))
    counts = ", ".join(f"{name} {count}x" for name, count in cell["seen"].items())
    facts = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    facts.add_row("outcome", Text(f"{sign} {cell['outcome']}: {OUTCOMES[cell['outcome']]}", style=COLOURS[sign]))
    facts.add_row("seen", counts)
    facts.add_row("parent", _view(cell["parent"]))
    for child in cell["children"]:
        facts.add_row(child["name"], _view(child))
    facts.add_row("server", _server(cell["server"]))
    claim, reason = found["claim"], found["reason"]
    facts.add_row("claimed", " or ".join(claim["outcomes"]) if claim else "nothing yet")
    if claim and claim["note"]:
        facts.add_row("", claim["note"])
    if reason:
        facts.add_row("reason", f"{reason['sentence']} ({reason['id']})")
        for link in filter(None, [reason.get("link"), *(source["url"] for source in reason.get("sources", []))]):
            facts.add_row("", Text(link, style="dim"))
    word = "remedy" if example["kind"] == "hazard" else "remedy for"
    for other in example["counterparts"]:
        facts.add_row(word, other["file"])
        word = ""
    facts.add_row("versions", ", ".join(_version(name, value) for name, value in cell["versions"].items()))
    return Group(*parts, Text(), facts)


def _version(name: str, value: str) -> str:
    return value if " " in value else f"{name} {value}"


def _view(view: dict[str, Any]) -> str:
    parts = [f"{view['right']} right answers"]
    if view["wrong"]:
        parts.append(f"{view['wrong']} wrong")
    parts += view["errors"]
    parts += [f"no end of {step}" for step in view["unanswered"]]
    if "signal" in view:
        parts.append(f"died by {view['signal']}")
    return ", ".join(parts) + f"; session: {view['session']}"


def _server(server: dict[str, Any]) -> str:
    used = ", ".join(server["sessions_used"]) or "none"
    text = f"sessions that answered: {used}; still there at the end: {server['sessions_after']}"
    if server["committed"] is not None:
        text += f"; written orders that are there: {', '.join(map(str, server['committed'])) or 'none'}"
    for what in ("lost", "unwanted"):
        if server[what]:
            text += f"; {what}: {', '.join(map(str, server[what]))}"
    return text


def _timeline(evidence: dict[str, Any]) -> RenderableType:
    """Return a table: a row a moment, a column a process and one for the server."""
    lanes = [*evidence["processes"], "server"]
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("ms", justify="right", no_wrap=True, style="dim", width=7)
    for lane in lanes:
        table.add_column(lane, ratio=1, overflow="fold")
    unknown: list[str] = []
    shared = _shared(evidence)
    for entry in evidence["timeline"]:
        row = [Text() for _ in lanes]
        who = (entry["who"] or "").partition("/")[0]
        if who in lanes:
            row[lanes.index(who)] = _phrase(entry, shared)
        elif entry.get("how") and entry["who"] is None:
            # Sent by one of several: shown where the server meets it, with those it may have been.
            row[-1] = Text(f"→{entry['session'] or '?'} {entry['text']} [{entry['how']}]", style="italic")
            unknown.append(entry["how"])
        else:
            row[-1] = Text(entry["text"], style="dim")
        table.add_row(f"{entry['at']:.1f}", *row)
    note = "→A sent on session A; A→ came on session A; steps and their results stand without an arrow"
    if unknown:
        note += "; [...] who sent it cannot be told"
    return Group(table, Padding(Text(note, style="dim"), (1, 0, 0, 0)))


def _shared(evidence: dict[str, Any]) -> set[str]:
    """Return the sessions on which more than one process asked, or may have."""
    asking: dict[str, set[str | None]] = {}
    for entry in evidence["timeline"]:
        if entry["kind"] == "message" and entry["who"] != "server" and entry["session"]:
            asking.setdefault(entry["session"], set()).add(entry["who"])
    return {session for session, who in asking.items() if len(who) > 1}


def _phrase(entry: dict[str, Any], shared: set[str]) -> Text:
    session = entry["session"] or "?"
    thread = (entry["who"] or "").partition("/")[2]
    prefix = f"({thread}) " if thread else ""
    if entry["kind"] == "begin":
        return Text(prefix + entry["text"])
    if entry["kind"] == "end":
        bad = ": raised" in entry["text"] or entry["text"].endswith((": nothing", "question)"))
        return Text(f"{prefix}{entry['text']}", style="bold red" if bad else "bold")
    if entry["who"] == "server":
        if entry["kind"] == "server":
            return Text(f"({entry['session']}) {entry['text']}" if entry["session"] else entry["text"], style="blue")
        answer = f" [answer to {entry['for']}]" if entry.get("for") and entry["session"] in shared else ""
        return Text(f"{session}→ {entry['text']}{answer}", style="cyan")
    return Text(f"→{session} {entry['text']}", style="yellow")
