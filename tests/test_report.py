"""The report to look at, JUnit XML, the Markdown summary, and the command that merges folders of results."""

from __future__ import annotations

import base64
import itertools
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from matrix.__main__ import main
from matrix.errors import MatrixError
from matrix.records.claim import Claim
from matrix.records.lanes import drawing
from matrix.records.outcomes import OUTCOMES
from matrix.records.steps import Step
from matrix.records.summary import Outputs, Summary
from matrix.report import command
from matrix.report.command import merge
from matrix.report.junit import junit
from matrix.report.page import LIMIT, render, write_report
from matrix.report.summary import markdown
from matrix.report.table import terminal
from tests import reports
from tests.reports import CLOSED, DIFFERS, HANGS, HOSTILE, REASONS, few, many, observation, timeline, write_results

if TYPE_CHECKING:
    from collections.abc import Iterable

BROKEN = {"bare/closed_in_child/psycopg/postgresql/tcp": f"it printed nothing {HOSTILE}"}


def packed(page: str) -> str:
    match = re.search(r'<script id="data"[^>]*>([^<]*)</script>', page)
    assert match
    return match[1]


def unpack(page: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed(page))))
    return data


def drawn(page: str, key: str) -> list[dict[str, Any]]:
    """Return the rows of a cell's drawing: what is not the default, with the texts in their places."""
    data = unpack(page)
    columns = data["pool"][data["cells"][key]["drawing"]]["rows"]
    rows: list[dict[str, Any]] = [{} for _ in columns["kind"]]
    for name, values in columns.items():
        numbers = name in ("at", "began", "wrong", "sure", "closes")
        whole: Iterable[Any] = itertools.accumulate(values) if name == "at" else values
        for row, value in zip(rows, whole, strict=True):
            row[name] = value if numbers or value is None else data["texts"][value]
    return rows


def written(path: Path, summary: Summary) -> str:
    summary.broken = dict(BROKEN)
    write_report(summary, REASONS, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture
def page(tmp_path: Path) -> str:
    return written(tmp_path / "matrix.html", few())


class Page(HTMLParser):
    """Collects what a browser would load or run, and the ids that labels and descriptions point at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# The table.


def test_each_outcome_in_a_cell_of_the_table_has_its_own_sign() -> None:
    shared = observation("bare/shared_in_turn/pymysql/mariadb/tcp", "shared session")
    ended = observation("bare/shared_in_turn/pymysql/mariadb/tls", "parent error")
    other = observation("bare/shared_in_turn/pymysql/mariadb/unix", "shared session")
    text = terminal({seen.id: seen for seen in (shared, ended, other)}, {}, colour=False)
    assert "~ shared session (tls: ✗ parent error)" in text.splitlines()[1]
    coloured = terminal({seen.id: seen for seen in (shared, ended, other)}, {}, colour=True).splitlines()[1]
    assert re.search(r"\x1b\[36m~ shared session\x1b\[0m \(tls: \x1b\[33m✗ parent error", coloured)


# The page.


def test_every_cell_is_in_the_grid_with_its_outcome(page: str) -> None:
    links = re.findall(r'<a href="#cell=([^"]+)"><i[^>]*>(.)</i> <span>([^<]+)</span>', page)
    expected = {key: seen.outcome for key, seen in few().observations.items()} | dict.fromkeys(BROKEN, "not judged")
    assert {key: outcome for key, _, outcome in links} == expected


def test_a_race_and_a_deviation_are_marked(page: str) -> None:
    hangs, differs = (
        re.search(rf'<td class="([^"]*)"><a href="#cell={key}">.*?</td>', page) for key in (HANGS, DIFFERS)
    )
    assert hangs
    assert differs
    assert "a race" in hangs[0]
    assert "odd" not in hangs[1].split()
    assert "odd" in differs[1].split()
    assert ", not as expected" in differs[0]


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    tags = Page(page).tags
    assert [attributes for tag, attributes in tags if "src" in attributes or tag in ("iframe", "object", "base")] == []
    assert [attributes["href"] for tag, attributes in tags if tag == "link"] == ["data:,"]
    assert "@import" not in page
    policy = next(str(a["content"]) for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_tags_are_balanced_and_ids_unique(page: str) -> None:
    parsed = Page(page)
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in parsed.tags:
        for name in ("aria-describedby", "for"):
            if name in attributes:
                assert attributes[name] in ids


def test_headers_of_the_table_have_a_scope_and_span_their_columns(page: str) -> None:
    headers = [attributes for tag, attributes in Page(page).tags if tag == "th"]
    assert {attributes.get("scope") for attributes in headers} == {"row", "col", "colgroup", "rowgroup"}
    groups = sum(int(str(attributes["colspan"])) for attributes in headers if attributes["scope"] == "colgroup")
    assert groups == sum("data-transport" in attributes for attributes in headers)


def test_hostile_text_stays_text(page: str) -> None:
    assert "owned" not in page.replace(packed(page), "")
    data = unpack(page)
    assert any(HOSTILE in text for text in data["texts"])
    assert HOSTILE in data["reasons"]["closes"]["sentence"]


def test_hostile_names_stay_text() -> None:
    seen = observation("bare/x<b>&\"'/pymysql/mariadb/tcp")
    page = render(Summary(observations={seen.id: seen}), {}, {})
    assert "<b>&" not in page
    assert "x&lt;b&gt;&amp;&#34;&#39;" in page


def test_the_script_and_the_style_do_not_end_early() -> None:
    folder = Path(command.__file__).parent
    for name in ("script.js", "style.css"):
        assert not re.search(r"</(script|style)|<!--", (folder / name).read_text("utf-8"), re.IGNORECASE)
    assert "innerHTML" not in (folder / "script.js").read_text("utf-8")


def test_the_same_results_make_the_same_page(tmp_path: Path, page: str) -> None:
    summary = few()
    summary.observations = dict(reversed(summary.observations.items()))
    assert written(tmp_path / "again.html", summary) == page


def test_a_cell_can_be_read_back_whole(page: str) -> None:
    data = unpack(page)
    cell = data["cells"][CLOSED]
    lines = [(data["texts"][text], mark) for text, mark in data["pool"][cell["transcript"]]]
    assert [line for line, _ in lines] == [str(step) for step in reports.STEPS]
    assert lines[-1][1] == "wrong"
    assert lines[-2][1] == "begin"
    rows, shown = drawing(few().observations[CLOSED], timeline()).rows, drawn(page, CLOSED)
    assert [row["text"] for row in shown] == [row.text for row in rows]
    assert [row["at"] / 10 for row in shown] == [row.at for row in rows]
    for name, default in {
        "kind": None,
        "lane": "",
        "session": None,
        "began": None,
        "wrong": False,
        "sure": True,
    }.items():
        assert [row.get(name, default) for row in shown] == [getattr(row, name) for row in rows]


def test_examples_come_with_the_code_to_copy(page: str) -> None:
    example = unpack(page)["examples"]["bare/discarded_in_child"]
    assert example["kind"] == "remedy"
    assert "def discard(connection):" in example["code"]
    assert "import os\n" in example["code"]
    assert "look_up" not in example["code"]


def test_the_largest_results_fit() -> None:
    summary = many()
    page = render(summary, {}, {})
    assert len(page.encode()) < LIMIT
    rows = drawn(page, next(iter(summary.observations)))
    gap = next(row for row in rows if row["kind"] == "omitted")
    assert gap["text"] == f"{400 - (len(rows) - 1)} events omitted"


def test_nothing_is_left_out_of_ordinary_results() -> None:
    summary = many()
    for key in summary.observations:
        summary.observations[key] = observation(key)
        summary.evidence[key] = timeline()
    page = render(summary, {}, {})
    assert len(page.encode()) < LIMIT / 4
    assert "omitted" not in {row["kind"] for row in drawn(page, next(iter(summary.observations)))}


# Colours.


def palette(dark: bool) -> dict[str, str]:
    style = (Path(command.__file__).parent / "style.css").read_text("utf-8")
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    return {name: pair[dark] for name, *pair in found}


def linear(colour: str) -> list[float]:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def contrast(one: str, other: str) -> float:
    light, dark = sorted(
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) for x in (one, other)
    )[::-1]
    return (light + 0.05) / (dark + 0.05)


# How linear RGB is seen without one kind of cones: Machado, Oliveira and Fernandes 2009, severity 1.0.
SIGHT = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}


def lab(colour: str, sight: str) -> tuple[float, float, float]:
    rgb = linear(colour)
    r, g, b = (max(0.0, min(1.0, sum(m * c for m, c in zip(row, rgb, strict=True)))) for row in SIGHT[sight])
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


FILLS = ("damage", "dead", "error", "luck", "works", "none")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("sight", SIGHT)
def test_colour_blind_people_can_tell_outcomes_apart(sight: str, dark: bool) -> None:
    colours = palette(dark)
    for one, other in itertools.combinations(FILLS, 2):
        distance = (
            sum((a - b) ** 2 for a, b in zip(lab(colours[one], sight), lab(colours[other], sight), strict=True)) ** 0.5
        )
        assert distance > 15, (one, other)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_has_enough_contrast(dark: bool) -> None:
    colours = palette(dark)
    pairs = [(f"on-{fill}", fill) for fill in FILLS]
    pairs += [(ink, ground) for ink in ("text", "quiet", "link", "bad") for ground in ("page", "raised")]
    assert {
        pair: contrast(colours[pair[0]], colours[pair[1]])
        for pair in pairs
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    } == {}


def test_every_outcome_has_a_colour() -> None:
    style = (Path(command.__file__).parent / "style.css").read_text("utf-8")
    assert [name for name in OUTCOMES if f".o-{name.replace(' ', '-')}" not in style] == []


# JUnit XML.


def report() -> Summary:
    summary = few()
    summary.broken = dict(BROKEN)
    summary.unavailable = {"mysql": "no MySQL | here"}
    summary.runs, summary.seconds, summary.servers = 9, 1.5, ["MariaDB 10.11"]
    return summary


def deviating(*keys: str, steps: list[Step]) -> Summary:
    """Return a run in which cells worked that were claimed to hang."""
    return Summary(
        observations={key: observation(key, steps=steps) for key in keys},
        claims={key: Claim(("hang",), "closes") for key in keys},
    )


def test_junit_counts_what_it_holds() -> None:
    root = ElementTree.fromstring(junit(report()))
    assert root.tag == "testsuites"
    for node in [root, *root]:
        for attribute, tag in (
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ):
            if attribute in node.attrib:
                assert int(node.attrib[attribute]) == len(list(node.iter(tag)))
    assert root.attrib == {"name": "matrix", "tests": "6", "failures": "1", "errors": "1"}
    assert all("skipped" in suite.attrib for suite in root)
    assert [suite.attrib["name"] for suite in root] == ["psycopg", "pymysql"]


def test_junit_names_each_cell_once_and_its_parts_in_the_order_of_readers() -> None:
    root = ElementTree.fromstring(junit(report()))
    names = [(case.attrib["classname"], case.attrib["name"]) for case in root.iter("testcase")]
    assert len(names) == len(set(names))
    assert ("bare.closed_in_child", "pymysql/mariadb/tcp") in names
    for suite in root:
        assert [child.tag for child in suite] == sorted(
            (child.tag for child in suite), key=["properties", "testcase"].index
        )


def test_junit_says_what_is_wrong_and_keeps_hostile_text() -> None:
    root = ElementTree.fromstring(junit(report()))
    failure = next(root.iter("failure"))
    assert failure.attrib == {"type": "not as expected", "message": "seen wrong row 1x; expected parent error"}
    assert HOSTILE.replace("\x1b", "\\x1b") in (failure.text or "")
    error, skipped = next(root.iter("error")), next(root.iter("skipped"))
    assert error.attrib["message"].startswith("it printed nothing </script>")
    assert skipped.attrib["message"].startswith("no TLS")


def test_junit_of_nothing_is_valid() -> None:
    root = ElementTree.fromstring(junit(Summary()))
    assert root.attrib["tests"] == "0"


@pytest.mark.parametrize("text", ["\x00", "\x1f", "\x7f", "\ufffe", "\uffff", "\ud800", "\U0001f600", "]]>"])
def test_junit_takes_any_character(text: str) -> None:
    step = Step(who="parent", action="look up", about=1, result="row", text=f"a{text}b")
    root = ElementTree.fromstring(junit(deviating(CLOSED, steps=[step])).encode())
    assert "row a" in (next(root.iter("failure")).text or "")


# Markdown.


def test_the_summary_has_totals_the_table_and_folded_transcripts() -> None:
    text = markdown(report())
    assert "6 cells: **3** as expected, **1** not as expected, **1** not judged, **1** not applicable" in text
    assert "no MySQL \\| here" in text
    assert text.count("<details>") == text.count("</details>") == 1
    assert f"<code>{DIFFERS}</code>: seen wrong row 1x; expected parent error" in text
    assert "parent   look up 1: order 1, session A" in text


def test_backticks_do_not_end_the_fence() -> None:
    step = Step(who="parent", action="close", result="raised", error="E", text="````\n</details>")
    lines = markdown(deviating(CLOSED, steps=[step])).splitlines()
    assert [line for line in lines if line.startswith("`````")] == ["`````text", "`````"]


def test_forged_names_in_the_summary_stay_text() -> None:
    forged = '<img src=x>`[x](y) | "'
    key = f"bare/{forged}/{forged}/mariadb/tcp"
    summary = deviating(key.replace("/tcp", "/unix"), steps=[])
    summary.broken = {key: forged}
    summary.servers = [forged]
    text = markdown(summary)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    spans = [span for token in tokens for span in token.children or []]
    assert any(span.type == "code_inline" and span.content.replace("\\|", "|") == key for span in spans)
    allowed = {"<br>", "</code>", "<code>"}
    assert not {span.type for span in spans} & {"link_open", "image"}
    raw = [span.content for span in spans if span.type == "html_inline"]
    raw += [token.content for token in tokens if token.type == "html_block" and "<img" in token.content]
    assert set(raw) <= allowed
    heads = {len(re.findall(r"(?<!\\)\|", line)) for line in text.splitlines() if line.startswith("|")}
    assert len(heads) == 1


def test_the_summary_stays_below_what_is_shown() -> None:
    long = Step(who="parent", action="close", result="raised", error="E", text="x" * 500)
    text = markdown(deviating(*(f"bare/e{n}/pymysql/mariadb/tcp" for n in range(100)), steps=[long] * 80))
    assert len(text.encode()) < 1_000_000
    assert re.search(r"and \d+ more, which are in the report\n$", text)


# The command.


def test_folders_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = few()
    claimed = {reports.cell(key): claim for key, claim in summary.claims.items()}
    monkeypatch.setattr(command, "claims", lambda driver: {c: k for c, k in claimed.items() if c.driver == driver})
    drivers = sorted({seen.cell.driver for seen in summary.observations.values()})
    for driver in drivers:
        mine = {key: seen for key, seen in summary.observations.items() if seen.cell.driver == driver}
        write_results(tmp_path / driver, mine, summary.evidence)
    output, xml, text = tmp_path / "out" / "m.html", tmp_path / "m.xml", tmp_path / "m.md"
    options = ["--output", str(output), "--junit", str(xml), "--markdown", str(text)]
    assert main(["report", *(str(tmp_path / driver) for driver in drivers), *options]) == 0
    assert f"report to look at: {output}" in capsys.readouterr().out
    page = output.read_text("utf-8")
    assert set(unpack(page)["cells"]) == set(summary.observations)
    assert "at" in drawn(page, CLOSED)[-1]
    assert ElementTree.parse(xml).getroot().attrib["tests"] == str(len(summary.observations))
    assert "**1** not as expected" in text.read_text("utf-8")


def test_of_a_cell_in_two_folders_the_later_counts_with_its_evidence(tmp_path: Path) -> None:
    write_results(tmp_path / "old", {CLOSED: observation(CLOSED, "hang")}, {CLOSED: timeline()})
    write_results(tmp_path / "new", {CLOSED: observation(CLOSED, "works")}, {})
    summary = merge([tmp_path / "old", tmp_path / "new"])
    assert summary.observations[CLOSED].outcome == "works"
    assert summary.evidence == {}


def test_not_applicable_replaces_nothing_that_was_observed(tmp_path: Path) -> None:
    write_results(tmp_path / "one", {CLOSED: observation(CLOSED, "hang")}, {CLOSED: timeline()})
    write_results(tmp_path / "two", {CLOSED: observation(CLOSED, "not applicable")}, {})
    summary = merge([tmp_path / "one", tmp_path / "two"])
    assert summary.observations[CLOSED].outcome == "hang"
    assert list(summary.evidence) == [CLOSED]


@pytest.mark.parametrize("content", ["[]", '{"format":2,"cells":{"x":7}}', '{"format":2,"cells":[]}', "{", "\xff"])
def test_evidence_of_a_wrong_shape_is_one_line(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_results(tmp_path, {CLOSED: observation(CLOSED)}, {CLOSED: timeline()})
    (path,) = tmp_path.glob("*/*/*.json")
    path.write_text(content, encoding="latin-1")
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "report.html")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert path.name in line


def test_a_folder_without_results_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert re.fullmatch(r"matrix: .*: no results there; .*\n", capsys.readouterr().err)


def test_a_report_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MatrixError, match="cannot be written"):
        write_report(few(), {}, tmp_path / "file" / "matrix.html")


def test_a_summary_can_go_to_a_device(tmp_path: Path) -> None:
    write_results(tmp_path / "results", few().observations, {})
    output = ["--output", str(tmp_path / "m.html"), "--markdown", "/dev/null"]
    assert main(["report", str(tmp_path / "results"), *output]) == 0
    assert Path("/dev/null").is_char_device()


def test_where_the_report_cannot_be_by_default_a_run_goes_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(command, "REPORT", tmp_path / "file" / "matrix.html")
    summary = report()
    summary.outputs = Outputs(html=str(command.REPORT))
    command.publish(summary)
    assert re.fullmatch(r"matrix: no report to look at: .*; name another file with --report\n", capsys.readouterr().err)
    summary.outputs = Outputs(html=str(tmp_path / "file" / "other.html"))
    with pytest.raises(MatrixError, match="cannot be written"):
        command.publish(summary)
