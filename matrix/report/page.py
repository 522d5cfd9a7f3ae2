"""Writes the report to look at: one HTML file that needs nothing but a browser.

The grid is plain HTML and can be read without the script. What a cell holds is packed (`data.py`) and unpacked by
script.js when a cell is first opened. The page's own policy allows no network and no script but that one.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from matrix import catalogue
from matrix.catalogue import STACKS, TRANSPORTS
from matrix.files import write_text
from matrix.pages.source import pattern
from matrix.records.outcomes import OUTCOMES
from matrix.report.data import pack
from matrix.report.material import deviations
from matrix.report.table import SIGNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matrix.catalogue import Cell, Example
    from matrix.catalogue.claims import Claim

#: A report is smaller than this, in bytes.
LIMIT = 2_000_000
#: Entries of a timeline or transcript that are shown: at most, and at least where a report would be too large.
MOST, LEAST = 400, 10
#: The sign of a cell that could not be judged.
BROKEN_SIGN = "?"
_HERE = Path(__file__).parent
_KINDS = {"hazard": "Hazards: what goes wrong", "remedy": "Remedies: what to write instead", "": "Other"}


@dataclass(frozen=True)
class Content:
    """Everything a report shows, by cell id where not said otherwise.

    `odd` are the cells that are not as claimed, `broken` why a cell could not be judged; `examples` by `<stack>/<name>`
    and `reasons` by id are what the script shows of them.
    """

    observations: Mapping[str, dict[str, Any]]
    evidence: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    odd: frozenset[str] = frozenset()
    examples: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    reasons: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def write_report(
    observations: Mapping[str, dict[str, Any]],
    evidence: Mapping[str, dict[str, Any]],
    reasons: Mapping[str, dict[str, Any]],
    claims: Mapping[Cell, Claim],
    path: Path,
    *,
    broken: Mapping[str, str] | None = None,
) -> None:
    """Write the report on some observations; `evidence` may lack cells, whose transcript is then drawn.

    `broken` says why a cell could not be judged. What the examples do, and their code, is read from this checkout.
    Raises MatrixError where the file cannot be written.
    """
    content = Content(
        observations=observations,
        evidence=evidence,
        notes={cell.id: claim.note for cell, claim in claims.items() if claim.note},
        broken=broken or {},
        odd=frozenset(deviations(dict(observations))),
        examples=_examples(catalogue.examples().values()),
        reasons=reasons,
    )
    write_text(path, render(content))


def render(content: Content) -> str:
    """Return the whole page, of fewer than LIMIT bytes: of very long timelines the middle is left out to get there."""
    limit = MOST
    while True:
        page = _assemble(content, pack(content, limit=limit))
        size = len(page.encode("utf-8", "replace"))
        if size < LIMIT or limit == LEAST:
            return page
        limit = max(LEAST, int(0.9 * limit * LIMIT / size))


def _examples(found: Iterable[Example]) -> dict[str, dict[str, Any]]:
    return {
        f"{example.stack}/{example.name}": {
            "title": example.title,
            "body": example.body,
            "kind": example.kind,
            "counterparts": example.counterparts,
            "path": example.path.as_posix(),
            "code": (copied := pattern(catalogue.ROOT / example.path)).code,
            "yours": copied.yours,
            "line": copied.line,
        }
        for example in found
    }


def _assemble(content: Content, data: str) -> str:
    style, script = (_HERE / "style.css").read_text("utf-8"), (_HERE / "script.js").read_text("utf-8")
    ids = sorted({*content.observations, *content.broken})
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return Template((_HERE / "template.html").read_text("utf-8")).substitute(
        policy=policy,
        style=style,
        script=script,
        data=data,
        totals=_totals(content),
        versions=_versions(content),
        filters="".join(_filter(name, values) for name, values in _choices(ids).items()),
        outcomes=_outcomes(content),
        odd=_odd(content),
        meanings="".join(
            f'<dt><span class="sign" aria-hidden="true">{SIGNS[name]}</span> {name}</dt><dd>{escape(meaning)}</dd>'
            for name, meaning in OUTCOMES.items()
        ),
        grid=_grid(content, ids),
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _totals(content: Content) -> str:
    applicable = [key for key, seen in content.observations.items() if seen["outcome"] != "not applicable"]
    unclaimed = sum(not content.observations[key]["expected"] for key in content.odd)
    parts = [f"{len(applicable) - len(content.odd)} cells as claimed"]
    if len(content.odd) > unclaimed:
        parts.append(f"{len(content.odd) - unclaimed} not as claimed")
    if unclaimed:
        parts.append(f"{unclaimed} not claimed yet")
    if content.broken:
        parts.append(f"{len(content.broken)} not judged")
    if others := len(content.observations) - len(applicable):
        parts.append(f"{others} not applicable")
    return escape(", ".join(parts))


def _versions(content: Content) -> str:
    """Return what the cells ran with: each version once, in the order in which observations name their kinds."""
    found: dict[str, list[str]] = {}
    for _, seen in sorted(content.observations.items()):
        for name, version in seen["versions"].items():
            shown = f"{name} {version}" if name in ("python", "openssl") else version
            if shown not in found.setdefault(name, []):
                found[name].append(shown)
    return "".join(f"<li>{escape(version)}</li>" for versions in found.values() for version in sorted(versions))


def _choices(ids: list[str]) -> dict[str, list[str]]:
    """Return what can be filtered by, in the order of the tables, of what the report holds."""
    parts = [key.split("/") for key in ids]
    stacks, drivers, transports = ({part[i] for part in parts} for i in (0, 2, 4))
    return {
        "stack": [name for name in STACKS if name in stacks],
        "driver": sorted(drivers),
        "transport": [name for name in TRANSPORTS if name in transports],
    }


def _filter(name: str, values: list[str]) -> str:
    boxes = "".join(
        f'<label><input type="checkbox" name="{name}" value="{escape(value)}"><span>{escape(value)}</span></label>'
        for value in values
    )
    return f'<fieldset class="chips"><legend>{name.title()}</legend>{boxes}</fieldset>'


def _outcomes(content: Content) -> str:
    """Return a box for each outcome that was seen; boxes and their counts are the legend of the grid as well."""
    counts = dict.fromkeys(OUTCOMES, 0)
    for seen in content.observations.values():
        counts[seen["outcome"]] += 1
    boxes = [_outcome(name, SIGNS[name], count, OUTCOMES[name]) for name, count in counts.items() if count]
    if content.broken:
        boxes.append(_outcome("not judged", BROKEN_SIGN, len(content.broken), "the cell could not be run to its end"))
    return "".join(boxes)


def _outcome(name: str, sign: str, count: int, meaning: str) -> str:
    return (
        f'<label title="{escape(meaning)}"><input type="checkbox" name="outcome" value="{name}">'
        f'<span class="{_class(name)}"><span class="sign" aria-hidden="true">{sign}</span> {name}'
        f" <small>{count}</small></span></label>"
    )


def _odd(content: Content) -> str:
    if not content.odd:
        return ""
    return (
        '<fieldset class="chips"><legend>Claims</legend><label><input type="checkbox" name="odd" value="yes">'
        f'<span class="odd">not as claimed <small>{len(content.odd)}</small></span></label></fieldset>'
    )


def _class(outcome: str) -> str:
    return "o-" + outcome.replace(" ", "-")


def _grid(content: Content, ids: list[str]) -> str:
    """Return the table: a group of rows an example, a row a stack, a column a driver, server and transport."""
    columns = sorted(
        {(part[2], part[3], part[4]) for part in (key.split("/") for key in ids)},
        key=lambda column: (column[0], column[1], TRANSPORTS.index(column[2])),
    )
    width = len(columns) + 1
    examples: dict[str, dict[str, list[str]]] = {kind: {} for kind in _KINDS}
    for key in ids:
        stack, name, *_ = key.split("/")
        kind = content.examples.get(f"{stack}/{name}", {}).get("kind", "")
        stacks = examples[kind].setdefault(name, [])
        if stack not in stacks:
            stacks.append(stack)
    parts = [_head(columns)]
    for kind, names in examples.items():
        if not names:
            continue
        parts.append(f'<tbody class="kind"><tr><th scope="rowgroup" colspan="{width}">{_KINDS[kind]}</th></tr></tbody>')
        for name, stacks in sorted(names.items()):
            title = next((content.examples[k]["title"] for s in stacks if (k := f"{s}/{name}") in content.examples), "")
            parts.append(
                f'<tbody data-example="{escape(name)}"><tr class="example"><th scope="rowgroup" colspan="{width}">'
                f"<code>{escape(name)}</code> <span>{_inline(title)}</span></th></tr>"
            )
            for stack in (stack for stack in STACKS if stack in stacks):
                cells = "".join(_cell(content, f"{stack}/{name}/{'/'.join(column)}", column) for column in columns)
                parts.append(f'<tr data-stack="{stack}"><th scope="row">{stack}</th>{cells}</tr>')
            parts.append("</tbody>")
    return "".join(parts)


def _head(columns: list[tuple[str, str, str]]) -> str:
    groups: dict[tuple[str, str], list[str]] = {}
    for driver, server, transport in columns:
        groups.setdefault((driver, server), []).append(transport)
    top = "".join(
        f'<th scope="colgroup" class="first" colspan="{len(transports)}" data-driver="{escape(driver)}">'
        f"<span>{escape(driver)}</span> <small>{escape(server)}</small></th>"
        for (driver, server), transports in groups.items()
    )
    bottom = "".join(
        f'<th scope="col"{_first(columns[:i], column)} data-driver="{escape(column[0])}"'
        f' data-transport="{column[2]}">{column[2]}</th>'
        for i, column in enumerate(columns)
    )
    return f'<thead><tr><th rowspan="2" scope="col">stack</th>{top}</tr><tr>{bottom}</tr></thead>'


def _first(before: list[tuple[str, str, str]], column: tuple[str, str, str]) -> str:
    return "" if before and before[-1][:2] == column[:2] else ' class="first"'


def _cell(content: Content, key: str, column: tuple[str, str, str]) -> str:
    first = " first" if column[2] == TRANSPORTS[0] else ""
    if key in content.observations:
        seen = content.observations[key]
        name, sign = seen["outcome"], SIGNS[seen["outcome"]]
        race = len(set(seen["seen"]) | set(seen["expected"])) > 1 and key not in content.odd
    elif key in content.broken:
        name, sign, race = "not judged", BROKEN_SIGN, False
    else:
        return f'<td class="none{first}"></td>'
    odd = key in content.odd
    marks = ('<b class="mark">*<span class="unseen"> a race</span></b>' if race else "") + (
        '<span class="unseen">, not as claimed</span>' if odd else ""
    )
    return (
        f'<td class="{_class(name)}{" odd" if odd else ""}{first}"><a href="#cell={escape(key)}">'
        f'<i aria-hidden="true">{sign}</i> <span>{name}</span>{marks}</a></td>'
    )


def _inline(text: str) -> str:
    """Return a sentence as HTML, what stands between backticks as code."""
    return "".join(
        f"<code>{escape(part)}</code>" if index % 2 else escape(part) for index, part in enumerate(text.split("`"))
    )
