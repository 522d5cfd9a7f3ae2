"""The pages and the answers: what is computed, and what the check finds, on made-up drivers and results."""

from __future__ import annotations

import argparse
import ast
import builtins
import importlib
import io
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from markdown_it import MarkdownIt
from msgspec.structs import replace

from matrix import catalogue
from matrix.__main__ import COMMANDS, main
from matrix.catalogue import STACKS
from matrix.catalogue.assemble import assemble
from matrix.catalogue.crossed import crossed_cells
from matrix.catalogue.launchers import launchers
from matrix.catalogue.pattern import pasted, pattern
from matrix.errors import MatrixError
from matrix.pages import check, commands, explain_command, links, prose, statements, symptoms, tables
from matrix.pages.answers import Answer, answer
from matrix.pages.explain import printed
from matrix.pages.facts import Facts, load, shown_cells
from matrix.pages.render import render
from matrix.records import crossed_results, results, server_results
from matrix.records.observation import Observation, ServerView, View
from matrix.records.reading import ROOT
from matrix.records.stable import plain
from matrix.records.steps import Step
from matrix.report.table import describe
from tests.written_steps import written

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.records.observation import Coordinates
    from matrix.records.outcomes import Outcome

# A made-up repository: a few examples, drivers that do not exist, and results. Every hazard raises what its driver
# says of a lost session, every remedy works.

DRIVERS = {
    "plain": ("Plain", "plaindb", "postgresql", "postgresql"),
    "quick": ("Quick", "quickdb", "postgresql", "postgresql"),
    "swift": ("Swift", "swiftdb", "mysql", "mariadb"),
}
#: Not run under Django.
PLAIN = "plain"
RAISED = {
    ("plain", False): "plaindb.OperationalError: network error on write",
    ("plain", True): "plaindb.OperationalError: network error on write",
    ("quick", False): "quickdb.OperationalError: consuming input failed: server closed the connection unexpectedly",
    ("quick", True): "quickdb.OperationalError: SSL error: decryption failed or bad record mac",
    ("swift", False): "swiftdb.OperationalError 2006: Server has gone away",
    ("swift", True): "swiftdb.OperationalError 2006: Server has gone away",
}
REASONS = """
[quit-on-close]
sentence = "close() ends the session."
fix_in = "you"
link = "https://example.org/quit"
"""
CELL = "bare/closed_in_child/quick/postgresql/tcp"


def driver_toml(distribution: str, module: str, protocol: str, server: str) -> str:
    return f"""
requires = ["{distribution}~=1.0"]
distributions = ["{distribution}"]
module = "{module}"
implementation = "python"
protocol = "{protocol}"
servers = ["{server}"]
schemes = ["{module}"]
descriptor = "public"
code = "code"
[urls]
tcp = "{module}://{{host}}"
tls = "{module}://{{host}}?tls"
unix = "{module}://{{socket}}"
[stacks.bare]
[stacks.django]
engine = "{module}.django"
[stacks.sqlalchemy]
[page]
about = "Made up."
descriptor = "`fileno()` is public."
"""


def observation(cell: Coordinates, kind: str) -> Observation:
    texts = [
        "0 parent look up 1",
        "1 parent look up 1: order 1, session 5",
        "2 child 1 look up 101: order 101, session 6",
    ]
    outcome: Outcome = "works" if kind == "remedy" else "parent error"
    if kind != "remedy":
        texts += ["3 parent look up 2", f"4 parent look up 2: raised {RAISED[cell.driver, cell.transport == 'tls']}"]
    return Observation(
        cell=cell,
        outcome=outcome,
        seen={outcome: 1},
        parent=View(name="parent", session="same" if kind == "remedy" else "lost", right=1),
        children=[View(name="child 1", session="own", right=1)],
        server=ServerView(sessions_used=["A", "B"]),
        steps=plain(written(*texts)),
        versions={"driver": f"{cell.driver} 1.0"},
    )


#: Enough to have hazards and remedies in every stack, and those that README.md links to.
EXAMPLES = {"closed_in_child", "dropped_in_child", "shared_in_turn", "closed_before_fork", "discarded_in_child"}
EXAMPLES |= {"discarded_at_fork", "spawned_children"}


#: The stacks that the drivers are run in.
OWN_STACKS = {name: folder for name, folder in STACKS.items() if f"[stacks.{name}]" in driver_toml(*DRIVERS[PLAIN])}


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("original")
    for folder in OWN_STACKS.values():
        (root / folder).mkdir()
        shutil.copy(ROOT / folder / "stack.toml", root / folder)
        for path in (ROOT / folder).glob("*.py"):
            if path.stem in EXAMPLES | {"__init__", "helper"}:
                shutil.copy(path, root / folder)
    for name, made_up in DRIVERS.items():
        (root / "drivers" / name).mkdir()
        facts_of_it = driver_toml(*made_up)
        if name == PLAIN:
            facts_of_it = re.sub(r"\[stacks\.django\]\nengine = .*\n", "", facts_of_it)
        (root / "drivers" / name / "driver.toml").write_text(facts_of_it)
        (root / "drivers" / name / "connection.py").write_text("def descriptor(connection):\n    return 1\n")
        claims = "".join(
            f'"{stack}/{path.stem}/{made_up[3]}" = {{outcome = "parent error", reason = "quit-on-close"}}\n'
            for stack, folder in OWN_STACKS.items()
            if (name, stack) != (PLAIN, "django")
            for path in (root / folder).glob("*.py")
            if path.stem in EXAMPLES and "Hazard." in path.read_text()
        )
        (root / "drivers" / name / "expected.toml").write_text(claims)
    shutil.copytree(ROOT / prose.FOLDER, root / prose.FOLDER)
    shutil.copytree(ROOT / "launchers", root / "launchers")
    for path in (*ROOT.glob("*.md"), ROOT / "LICENSE", *(ROOT / "docs").glob("*.svg"), ROOT / "docs" / "usage.md"):
        shutil.copy(path, root / path.relative_to(ROOT))
    (root / "matrix").mkdir()
    (root / "matrix" / "reasons.toml").write_text(REASONS)
    facts = load(root / "results", root)
    found = [observation(cell, facts.examples[cell.stack, cell.example].kind) for cell in facts.cells]
    for driver in facts.drivers:
        results.write(root / "results", driver, [seen for seen in found if seen.cell.driver == driver])
        cells = [cell for cell in crossed_cells(root) if cell.driver == driver]
        crossed_results.write(root / "results", driver, [observation(cell, "remedy") for cell in cells], set())
    return root


@pytest.fixture
def root(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "repository")


@pytest.fixture(scope="session")
def facts(original: Path) -> Facts:
    return load(original / "results", original)


def change(root: Path, key: str, **changes: Any) -> None:
    """Change an observation in the results."""
    driver = key.split("/")[2]
    old = results.read(root / "results" / f"{driver}.json")[key]
    results.write(root / "results", driver, [replace(old, **changes)])


def problems(root: Path) -> list[str]:
    return check.problems(load(root / "results", root))


def about(root: Path, name: str) -> list[str]:
    """Return the problems that name a page, for the made results do not show every finding."""
    return [problem for problem in problems(root) if problem.startswith(name)]


# Pages.


def test_pages_that_were_just_written_are_neither_stale_nor_have_dead_links(root: Path) -> None:
    changed = check.write(load(root / "results", root))
    assert "README.md" in changed
    assert not [p for p in problems(root) if "stale" in p or "missing" in p or "dead" in p]
    assert check.write(load(root / "results", root)) == []


def test_every_driver_has_the_same_headings_in_the_same_order(facts: Facts) -> None:
    pages = render(facts)
    headings = {
        tuple(line for line in pages[f"drivers/{name}/README.md"].splitlines() if line.startswith("## "))
        for name in facts.drivers
    }
    assert len(headings) == 1


def test_what_differs_on_another_server_is_said_of_it_and_of_the_driver(root: Path) -> None:
    cells = {seen.id: seen for seen in results.read(root / "results" / "swift.json").values()}
    here = [
        replace(seen, cell=replace(seen.cell, server="mariadb11.8"), versions={"server": "mariadb 11.8"})
        for seen in cells.values()
    ]
    assert here
    server_results.write(root / "results", "mariadb11.8", here)
    pages = render(load(root / "results", root))
    assert f"all {len(here)} cells do what they do on MariaDB" in pages["drivers/swift/README.md"]
    odd = next(seen for seen in here if seen.cell.example == "closed_in_child" and seen.cell.transport == "tls")
    server_results.write(root / "results", "mariadb11.8", [replace(odd, outcome="hang", seen={"hang": 2})])
    pages = render(load(root / "results", root))
    for path in ("drivers/swift/README.md", "docs/servers.md"):
        (row,) = [line for line in pages[path].splitlines() if "not explained yet" in line]
        assert "closed_in_child" in row
        assert ": tls |" in row
        assert "hang" in row
        assert "parent error" in row
    assert f"| {len(here)} | 1 |" in pages["docs/servers.md"]


def test_a_changed_page_is_stale_and_its_line_is_named(root: Path) -> None:
    check.write(load(root / "results", root))
    page = root / "docs" / "results.md"
    page.write_text(page.read_text().replace("# All results", "# All the results", 1))
    assert about(root, "docs/results.md") == ["docs/results.md: stale, line 3; python -m matrix pages rewrites it"]


def test_a_page_is_stale_when_a_result_changes(root: Path) -> None:
    check.write(load(root / "results", root))
    change(root, CELL, outcome="works", seen={"works": 1})
    assert about(root, "docs/examples/closed_in_child.md")
    assert about(root, "drivers/quick/README.md")


def test_a_page_that_is_missing_and_one_whose_example_is_gone_are_named(root: Path) -> None:
    check.write(load(root / "results", root))
    (root / "docs" / "glossary.md").unlink()
    (root / "docs" / "examples" / "gone_in_child.md").write_text("# gone\n")
    assert "missing" in about(root, "docs/glossary.md")[0]
    assert "gone" in about(root, "docs/examples/gone_in_child.md")[0]
    assert "docs/examples/gone_in_child.md" in check.write(load(root / "results", root))
    assert not (root / "docs" / "examples" / "gone_in_child.md").exists()


@pytest.mark.parametrize(
    "link", ["docs/nothing.md", "docs/results.md#nothing", "#nothing", "drivers/helper.py#L99999", "drivers/nowhere/"]
)
def test_a_dead_link_in_a_page_written_by_hand_is_named(root: Path, link: str) -> None:
    page = root / "CONTRIBUTING.md"
    page.write_text(page.read_text() + f"\n[somewhere]({link})\n")
    assert any(f"dead link {link}" in problem for problem in about(root, "CONTRIBUTING.md"))


@pytest.mark.parametrize(
    "link",
    [
        "docs/results.md#hazards",
        "#style",
        "drivers/helper.py#L1",
        "drivers/",
        "https://example.org/x",
        "mailto:a@b.org",
    ],
)
def test_a_live_link_is_not_named(root: Path, link: str) -> None:
    page = root / "CONTRIBUTING.md"
    page.write_text(page.read_text() + f"\n[somewhere]({link})\n")
    assert not about(root, "CONTRIBUTING.md")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("begin: summary", "start: summary", "has no place for summary"),
        (": launchers", ": launcher", "has no place for launchers"),
    ],
)
def test_a_readme_that_lacks_a_generated_part_is_an_error_of_one_line(
    root: Path, old: str, new: str, problem: str
) -> None:
    path = root / "README.md"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MatrixError, match=rf"README\.md: {problem}") as caught:
        render(load(root / "results", root))
    assert "\n" not in str(caught.value)


def test_a_part_of_the_readme_that_nothing_generates_is_an_error(root: Path) -> None:
    path = root / "README.md"
    path.write_text(path.read_text() + "\n<!-- begin: weather -->\n<!-- end: weather -->\n")
    with pytest.raises(MatrixError, match=r"README\.md: nothing is called 'weather'; there are drivers, "):
        render(load(root / "results", root))


def test_generation_does_not_depend_on_the_order_of_hashes(original: Path) -> None:
    code = (
        "import hashlib, sys; from pathlib import Path; from matrix.pages.facts import load;"
        "from matrix.pages.render import render; root = Path(sys.argv[1]);"
        "print(hashlib.sha256(repr(render(load(root / 'results', root))).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, str(original)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_message_cannot_break_a_table(root: Path) -> None:
    step = Step(
        who="parent", action="look up", about=2, result="raised", error="odd.Error", text="a | b `c` <d> [e](f.md) *g*"
    )
    change(root, CELL, steps=[step])
    pages = render(load(root / "results", root))
    lines = [line for text in pages.values() for line in text.splitlines() if "a \\| b" in line]
    (message,) = (line for line in lines if "odd.Error" in line)
    (entry,) = (line for line in lines if "docs" not in line and "errors/" in line and line.startswith("| ["))
    assert message.replace("\\|", "").count("|") == 6
    assert entry.replace("\\|", "").count("|") == 4
    assert links.dead(pages, root) == []


def test_what_a_forged_result_names_as_a_version_stays_text(root: Path) -> None:
    forged = "1.0 <img src=x> [click](https://example.org) `x` **loud** | &lt;"
    change(root, CELL, versions={"driver": forged, forged: "1"})
    other = next(key for key in results.read_folder(root / "results") if key != CELL)
    change(root, other, outcome="not applicable", seen={"not applicable": 1}, note=forged)
    pages = render(load(root / "results", root))
    shown = {name: text for name, text in pages.items() if "loud" in text}
    assert len(shown) >= 3
    for text in shown.values():
        lines = [line for line in text.splitlines() if "loud" in line]
        for token in MarkdownIt("commonmark").enable("table").parseInline("\n".join(lines)):
            spans = token.children or []
            assert not {span.type for span in spans} & {"html_inline", "link_open", "image", "strong_open"}


# The summary and the fixes.


def test_the_summary_counts_the_cells_of_each_outcome_and_says_which_they_are(root: Path) -> None:
    change(root, "django/closed_in_child/swift/mariadb/tls", outcome="wrong row", seen={"wrong row": 1})
    facts = load(root / "results", root)
    cells = len(facts.of(example="closed_in_child"))
    lines = [line for line in render(facts)["README.md"].splitlines() if line.startswith("| closes it")]
    assert len(lines) == 1
    assert f"without an error: 1 of {cells} *(" in lines[0]
    assert f"the parent gets an error: {cells - 1} of {cells} *(" in lines[0]


def test_the_worst_row_of_the_summary_comes_first(root: Path) -> None:
    change(root, "bare/dropped_in_child/plain/postgresql/tcp", outcome="hang", seen={"hang": 1})
    rows = [
        line for line in render(load(root / "results", root))["README.md"].splitlines() if "](docs/examples/" in line
    ]
    assert "dropped_in_child" in next(line for line in rows if line.startswith("| "))


def test_a_row_of_the_summary_about_cells_that_do_not_exist_is_named(root: Path) -> None:
    (root / prose.FOLDER / "summary.toml").write_text('[[row]]\ndoes = "sleeps"\ncells = ["*/sleeping_child"]\n')
    assert about(root, "docs/prose/summary.toml") == [
        "docs/prose/summary.toml: sleeps: */sleeping_child matches no cell"
    ]


def test_a_remedy_that_fails_with_a_driver_is_not_listed_as_a_fix_there(root: Path) -> None:
    change(root, "bare/closed_before_fork/plain/postgresql/tls", outcome="hang", seen={"hang": 1})
    page = render(load(root / "results", root))["docs/results.md"].partition("## Fixes")[2].partition("##")[0]
    (line,) = (line for line in page.splitlines() if line.startswith("| [`closed_before_fork`]"))
    assert "not a fix: ✖ hang *(" in line
    assert line.count("not a fix") == 1


def test_a_remedy_that_only_raises_in_the_child_is_listed_as_detection(root: Path) -> None:
    facts = load(root / "results", root)
    for seen in facts.of(example="discarded_in_child"):
        change(root, seen.id, outcome="child error", seen={"child error": 1})
    page = render(load(root / "results", root))["docs/results.md"]
    fixes, detection = (page.partition(f"## {title}\n")[2].partition("\n## ")[0] for title in ("Fixes", "Detection"))
    assert "discarded_in_child" not in fixes
    assert "discarded_in_child" in detection


# Statements.


def finding(how_many: str = "all") -> str:
    return f"""
[[finding]]
id = "a-finding"
title = "Closing ends the session."
text = "It does."
show = "bare/closed_in_child/quick/postgresql/tcp"
[[finding.rests_on]]
cells = ["*/closed_in_child"]
outcome = ["parent error"]
parent_session = ["lost"]
how_many = "{how_many}"
"""


def test_a_finding_that_results_show_is_no_problem(root: Path) -> None:
    (root / prose.FOLDER / "findings.toml").write_text(finding())
    assert about(root, "docs/prose/findings.toml") == []
    facts = load(root / "results", root)
    cells = len(facts.of(example="closed_in_child"))
    assert f"Observed: parent error in {cells} cells; see" in render(facts)["docs/results.md"]


def test_a_finding_that_one_result_contradicts_is_named_with_the_cell(root: Path) -> None:
    (root / prose.FOLDER / "findings.toml").write_text(finding())
    change(root, "django/closed_in_child/swift/mariadb/tls", outcome="works", seen={"works": 1})
    (found,) = about(root, "docs/prose/findings.toml")
    assert "a-finding" in found
    assert "django/closed_in_child/swift/mariadb/tls: works" in found
    (root / prose.FOLDER / "findings.toml").write_text(finding("some"))
    assert about(root, "docs/prose/findings.toml") == []


def test_a_finding_about_cells_that_do_not_exist_is_named(root: Path) -> None:
    (root / prose.FOLDER / "findings.toml").write_text(finding().replace("*/closed_in_child", "*/close_in_child"))
    assert any("matches no cell" in problem for problem in about(root, "docs/prose/findings.toml"))


def sentence(root: Path, how_many: str = "all") -> str:
    """Return the page's sentence of a finding that says with whom closing ends the session."""
    text = finding(how_many).replace('text = "It does."', 'text = "It does with {closes}, {closes.stacks}."')
    (root / prose.FOLDER / "findings.toml").write_text(text + 'name = "closes"\n')
    page = render(load(root / "results", root))["docs/results.md"]
    return next(line for line in page.splitlines() if "Closing ends the session" in line)


def test_a_finding_says_for_whom_it_holds(root: Path) -> None:
    stacks = [stack.facts for name, stack in catalogue.stacks().items() if name in OWN_STACKS]
    words = [f"under {stack.title}" if stack.distribution else "without an ORM" for stack in stacks]
    assert f"It does with every driver, {', '.join(words[:-1])} and {words[-1]}." in sentence(root)
    change(root, "django/closed_in_child/swift/mariadb/tls", outcome="works", seen={"works": 1})
    # What one driver does otherwise takes no stack from those that the sentence names.
    named = sentence(root, "some-drivers")
    assert f"It does with Plain and Quick, {', '.join(words[:-1])} and {words[-1]}." in named
    assert about(root, "docs/prose/findings.toml") == []


def test_a_finding_that_holds_for_no_driver_is_named(root: Path) -> None:
    for driver, (*_, server) in DRIVERS.items():
        change(root, f"bare/closed_in_child/{driver}/{server}/tcp", outcome="works", seen={"works": 1})
    (root / prose.FOLDER / "findings.toml").write_text(finding("some-drivers") + 'name = "closes"\n')
    (found,) = about(root, "docs/prose/findings.toml")
    assert "a-finding: no driver does what `closes` says" in found


def test_a_finding_that_names_what_it_does_not_rest_on_is_named(root: Path) -> None:
    (root / prose.FOLDER / "findings.toml").write_text(finding().replace("It does.", "It does with {closing}."))
    (found,) = about(root, "docs/prose/findings.toml")
    assert "names {closing}, and nothing that it rests on is called so" in found


def article(verdict: str) -> str:
    return f"""
[[claim]]
id = "a-claim"
claim = "It breaks."
cells = ["django/closed_in_child"]
error = "gone away"
verdict = "{verdict}"
text = "So it does."
"""


@pytest.mark.parametrize("verdict", statements.VERDICTS)
def test_a_verdict_is_computed_and_a_text_written_for_another_is_named(root: Path, verdict: str) -> None:
    (root / prose.FOLDER / "article.toml").write_text(article(verdict))
    found = about(root, "docs/prose/article.toml")
    assert bool(found) == (verdict != "holds with a condition")
    page = render(load(root / "results", root))["docs/article.md"]
    assert "**Holds with a condition**: holds: swift; does not: quick." in page


@pytest.mark.parametrize(
    ("said", "holds"),
    [
        ({"outcome": ["parent error"]}, True),
        ({"outcome": ["works"]}, False),
        ({"seen": ["works", "parent error"]}, True),
        ({"parent_session": ["lost"]}, True),
        ({"child_session": ["own"]}, True),
        ({"child_session": ["shared"]}, False),
        ({"error": r"2006: .* gone away"}, True),
        ({"silent": True}, False),
        ({"children_get_rows": True}, True),
        ({"outcome": ["parent error"], "silent": True}, False),
    ],
)
def test_each_thing_that_can_be_said_of_a_cell(facts: Facts, said: dict[str, Any], holds: bool) -> None:
    result = statements.test(facts, prose.Statement(cells=("bare/closed_in_child/swift/mariadb/tcp",), **said))
    assert (result.verdict == "holds") == holds


@pytest.mark.parametrize("name", ["findings", "article", "symptoms", "advice", "topics", "glossary"])
def test_prose_with_an_unknown_key_is_an_error_with_its_line(root: Path, name: str) -> None:
    path = root / prose.FOLDER / f"{name}.toml"
    path.write_text(path.read_text() + "\nnonsense = 1\n")
    with pytest.raises(MatrixError, match=rf"{name}\.toml, line \d+: .*nonsense"):
        load(root / "results", root)


def test_a_pattern_that_is_no_regular_expression_is_an_error_with_its_line(root: Path) -> None:
    path = root / prose.FOLDER / "symptoms.toml"
    path.write_text("[[symptom]]\nid = 'x'\ntitle = 'x'\npatterns = ['(']\n")
    with pytest.raises(MatrixError, match=r"symptoms\.toml, line 1: .*'\(' is no regular expression"):
        load(root / "results", root)


# Evidence.


def test_of_each_outcome_of_an_example_one_cell_is_drawn(root: Path, facts: Facts) -> None:
    drawn = shown_cells(facts)
    for name in facts.names():
        mine = [facts.observed[key].outcome for key in drawn if key in facts.observed and f"/{name}/" in key]
        assert sorted(mine) == sorted({seen.outcome for seen in facts.of(example=name)})
    key = "sqlalchemy/closed_in_child/swift/mariadb/unix"
    assert key not in drawn
    assert key in shown_cells(facts.updated({key: replace(facts.observed[key], outcome="hang", seen={"hang": 1})}))


def test_which_cells_are_drawn_does_not_depend_on_claims_that_wait_for_their_reasons(root: Path) -> None:
    path = root / "drivers" / "quick" / "expected.toml"
    path.write_text('"bare/closed_in_child/postgresql" = {outcome = "works", reason = "to-be-reviewed"}\n')
    facts = load(root / "results", root)
    assert shown_cells(facts)
    with pytest.raises(MatrixError, match="to-be-reviewed"):
        render(facts)


def test_a_cell_without_evidence_is_drawn_from_its_steps(facts: Facts) -> None:
    page = render(facts)["docs/examples/closed_in_child.md"]
    drawing = page.partition("```text\n")[2].partition("```")[0]
    assert drawing.splitlines()[0].split() == ["parent", "child", "1", "server"]
    assert re.search(r"^look up 1: order 1, session A$", drawing, re.MULTILINE)
    assert max(map(len, drawing.splitlines())) <= 100


# Words.


def test_cells_are_described_with_few_words(facts: Facts) -> None:
    among = facts.of(example="closed_in_child")
    assert describe(among, among) == ""
    assert describe([o for o in among if o.cell.transport == "tls"], among) == "tls"
    some = [o for o in among if o.cell.transport == "tls" and o.cell.stack == "django"]
    assert describe(some, among) in ("tls: Django", "Django: tls")
    assert (
        describe([o for o in among if o.cell.transport != "tls" or o.cell.stack == "django"], among).count("tls") == 1
    )


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ("Packet sequence number wrong - got 1 expected 2", "Packet sequence number wrong - got N expected N"),
        ("decryption failed (_ssl.c:2580)", "decryption failed (_ssl.c:N)"),
        ("(0, '')", "(0, '')"),
        ("couldn't get a connection after 30.00 sec", "couldn't get a connection after N sec"),
        ("rolled back. Original exception was: (x) 1", "rolled back."),
    ],
)
def test_messages_are_normalised(message: str, plain: str) -> None:
    assert symptoms.normalise(message) == plain


# Code.


def unbound(code: str) -> set[str]:
    """Return the names that some code uses and neither defines nor imports."""
    tree = ast.parse(code)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | {*dir(builtins), "__file__"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return {node.id for node in names} - bound


def test_every_pattern_stands_by_itself_but_for_what_it_says_is_yours_or_your_drivers() -> None:
    for example in catalogue.examples().values():
        found = pattern(ROOT / example.path)
        assert unbound(found.code) == {*found.yours, *found.from_driver}, example.path
        assert "helper" not in found.code.partition("def ")[0], example.path


def test_every_pattern_stands_by_itself_as_it_is_pasted_with_a_driver() -> None:
    for stack, name, driver in {(cell.stack, cell.example, cell.driver) for cell in catalogue.cells()}:
        found = pasted(ROOT / catalogue.examples()[stack, name].path, driver)
        assert unbound(found.code) == set(found.yours), (stack, name, driver)


def test_what_differs_from_driver_to_driver_is_printed_once_for_each(facts: Facts) -> None:
    page = render(facts)["docs/examples/discarded_in_child.md"]
    _, _, rest = page.partition("## What differs from driver to driver")
    for driver in facts.drivers:
        assert f"[{driver}](../../drivers/{driver}/README.md):\n\n```python\ndef descriptor(connection):" in rest


# Without results.


def test_without_results_the_readme_says_so(root: Path) -> None:
    assert "Nothing was observed yet." in render(load(root / "no results", root))["README.md"]


def test_a_driver_that_a_stack_does_not_have_is_left_out_there(facts: Facts) -> None:
    pages = render(facts)
    titles = {name: stack.facts.title for name, stack in catalogue.stacks().items()}
    rows = [
        line.split("|") for line in pages["docs/choosing.md"].splitlines() if line.startswith(f"| {titles['django']} |")
    ]
    assert {name.strip() for row in rows for name in row[2].split(",")} == {*facts.drivers} - {PLAIN}
    for name in facts.drivers:
        assert (f"\n{titles['django']}:\n" in pages[f"drivers/{name}/README.md"]) == (name != PLAIN)


# Explanations.

TRACEBACK = """\
Traceback (most recent call last):
  File "/venv/lib/python3.12/site-packages/django/db/backends/utils.py", line 105, in _execute
    return self.cursor.execute(sql, params)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/venv/lib/python3.12/site-packages/swiftdb/connections.py", line 2013, in query
    self.send(query)
swiftdb.OperationalError: (2006, 'MySQL server has gone away')

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/home/me/shop/tasks.py", line 30, in work
    Order.objects.first()
django.db.utils.OperationalError: (2006, 'MySQL server has gone away')
"""


@pytest.mark.parametrize(
    ("text", "symptom"),
    [
        (TRACEBACK, "mysql-server-has-gone-away"),
        ("MySQL server has gone away", "mysql-server-has-gone-away"),
        ("(2006, '')", "mysql-server-has-gone-away"),
        ("MySQLdb.OperationalError 2006:", "mysql-server-has-gone-away"),
        ("2013 Lost connection to server during query", "lost-connection-to-mysql-server-during-query"),
        ("Packet sequence number wrong - got 1 expected 2", "packet-sequence-number-wrong"),
        ("pymysql.err.InternalError: Packet sequence number wrong - got 45 expected 1", "packet-sequence-number-wrong"),
        ('(2014, "Commands out of sync; you can\'t run this command now")', "commands-out-of-sync"),
        (
            "sqlalchemy.exc.ResourceClosedError: This result object does not return rows. It has been closed",
            "result-object-does-not-return-rows",
        ),
        ("SSL error: decryption failed or bad record mac", "decryption-failed-or-bad-record-mac"),
        ("SSL error: bad decrypt", "decryption-failed-or-bad-record-mac"),
        (
            "(2013, 'Lost connection ([SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] x (_ssl.c:2580))')",
            "decryption-failed-or-bad-record-mac",
        ),
        ("SSL SYSCALL error: EOF detected", "ssl-syscall-error-eof-detected"),
        ("SSL SYSCALL error: Socket operation on non-socket", "socket-operation-on-non-socket"),
        (
            "psycopg.OperationalError: consuming input failed: server closed the connection unexpectedly",
            "server-closed-the-connection-unexpectedly",
        ),
        ("django.db.utils.OperationalError: the connection is closed", "connection-already-closed"),
        ("psycopg2.InterfaceError: cursor already closed", "connection-already-closed"),
        (
            "error with status PGRES_TUPLES_OK and no message from the libpq",
            "pgres-tuples-ok-and-no-message-from-the-libpq",
        ),
        ('insufficient data in "D" message', "lost-synchronization-with-server"),
        ("psycopg2.ProgrammingError: no results to fetch", "no-results-to-fetch"),
        ('prepared statement "_pg3_0" already exists', "prepared-statement-already-exists"),
        ("'NoneType' object has no attribute '_getter'", "could-not-locate-column-in-row"),
        ("RuntimeError: generator raised StopIteration", "generator-raised-stopiteration"),
        ("psycopg_pool.PoolTimeout: couldn't get a connection after 30.00 sec", "couldnt-get-a-connection-after"),
        ("couldn't stop thread 'pool-1-worker-0' within 5.0 seconds", "couldnt-stop-thread"),
        ("WorkerLostError: Worker exited prematurely: signal 11 (SIGSEGV)", "segmentation-fault-after-fork"),
        ("objc: may have been in progress in another thread when fork() was called", "objc-fork-crash-on-macos"),
        ("This process is multi-threaded, use of fork() may lead to deadlocks", "multi-threaded-fork-warning"),
        ("a query or a task that hangs after a fork", "query-hangs-after-fork"),
        ("pymysql.err.InterfaceError: (0, '')", "interface-error-0"),
        (
            "PendingRollbackError: rolled back. Original exception was: (pymysql.err.OperationalError) (2013, 'Lost')",
            "lost-connection-to-mysql-server-during-query",
        ),
        ("PendingRollbackError: This Session's transaction has been rolled back", "pending-rollback-error"),
    ],
)
def test_the_classics_are_found(facts: Facts, text: str, symptom: str) -> None:
    assert answer(facts, text).symptom == symptom


def test_every_described_message_has_a_verdict_of_three_lines(facts: Facts) -> None:
    for symptom in symptoms.collect(facts):
        if not symptom.silent:
            found = answer(facts, symptom.message)
            assert found.symptom == symptom.id
            assert len(found.verdict) == 3
            assert all(found.verdict)


def test_a_traceback_shows_driver_and_orm_and_the_answer_has_code_and_cells(facts: Facts) -> None:
    found = answer(facts, TRACEBACK)
    (fix,) = found.fixes
    assert (found.driver, found.orm, found.protocol) == ("swift", "django", "mysql")
    assert (fix.driver, fix.stack) == ("swift", "django")
    assert "def " in fix.files[""]
    assert all(cell.startswith("django/") and "/swift/" in cell for cell in fix.cells)
    text = printed(found)
    assert "this very message with swift under Django" in " ".join(text.split())
    assert all(len(line) <= 100 or line.startswith("    ") for line in text.splitlines())


def test_an_answer_begins_with_the_three_lines_of_its_verdict(facts: Facts) -> None:
    starts = [line.partition(":")[0] for line in printed(answer(facts, TRACEBACK)).splitlines() if line[0:1] != " "]
    assert starts[:3] == ["What happened", "How sure", "What to do"]


def test_a_message_that_fits_several_causes_names_them_with_their_checks(facts: Facts) -> None:
    found = answer(facts, "(2006, 'MySQL server has gone away')")
    assert {cause.id for cause in found.causes} > {"fork", "idle", "restart"}
    assert "Not sure" in found.verdict[1]
    text = printed(found)
    assert all(cause.title in text and cause.checks[0].split()[-1] in text for cause in found.causes)


def test_flags_go_before_what_the_text_names(facts: Facts) -> None:
    text = "swiftdb.OperationalError: (2006, 'Server has gone away')"
    (fix,) = answer(facts, text, driver="quick", orm="sqlalchemy").fixes
    assert (fix.stack, fix.driver) == ("sqlalchemy", "quick")
    assert "no cell raised it with quick" in answer(facts, text, driver="quick", orm="none").verdict[1]


@pytest.mark.parametrize("called", ["swift", "swiftdb", "Swift", "SWIFT"])
def test_a_driver_goes_by_its_module_and_its_distribution_too(facts: Facts, called: str) -> None:
    assert answer(facts, "bad record mac", driver=called).driver == "swift"


def test_a_module_whose_name_goes_on_with_a_number_is_another_driver(facts: Facts) -> None:
    text = "quickdb.OperationalError: server closed the connection unexpectedly"
    assert answer(facts, text).driver == "quick"
    assert answer(facts, text.replace("quickdb", "quickdb2")).driver != "quick"


@pytest.mark.parametrize(("driver", "protocol"), [("aiomysql", "mysql"), ("asyncpg", "postgresql")])
def test_a_driver_that_is_not_run_gets_the_answer_of_one_with_its_protocol_and_is_told(
    facts: Facts, driver: str, protocol: str
) -> None:
    for orm in ("none", "django", "sqlalchemy"):
        found = answer(facts, "bad record mac", driver=driver, orm=orm)
        assert found.fixes
        assert {facts.drivers[fix.driver or ""].protocol for fix in found.fixes} == {protocol}
        assert any(note.startswith(f"No cell runs {driver}:") for note in found.notes)


def test_a_protocol_that_nothing_is_run_with_gets_no_code_of_another(facts: Facts) -> None:
    found = answer(facts, "cx_Oracle.DatabaseError: ORA-03106: fatal two-task communication protocol error")
    assert found.causes[0].id == "fork"
    assert found.fixes == ()
    assert any("oracle" in note for note in found.notes)


@pytest.mark.parametrize("orm", ["peewee", "tortoise", "an ORM of tomorrow"])
def test_an_orm_that_is_not_run_gets_the_answer_of_the_driver_and_is_told(facts: Facts, orm: str) -> None:
    found = answer(facts, "SSL error: decryption failed or bad record mac", driver="quick", orm=orm)
    assert [fix.stack for fix in found.fixes] == ["bare"]
    assert any(note.startswith(f"No cell runs {orm}:") for note in found.notes)


def test_a_launcher_that_is_not_run_gets_the_answer_of_one_that_forks_like_it(facts: Facts) -> None:
    found = answer(facts, "bad record mac", driver="quick", launcher="granian")
    assert any("the answer is that of multiprocessing_pool" in note for note in found.notes)
    assert answer(facts, "bad record mac", driver="quick", launcher="a launcher of tomorrow").fixes


def test_a_text_without_a_driver_gets_code_that_fits_every_driver(facts: Facts) -> None:
    found = answer(facts, "bad decrypt")
    assert found.fixes
    for fix in found.fixes:
        assert fix.driver is None
        assert not any(one.module in fix.files[""] for one in facts.drivers.values())


@pytest.mark.parametrize("launcher", launchers())
def test_files_to_paste_are_those_that_cells_of_the_launcher_ran(launcher: str) -> None:
    known = load()
    held = 0
    for driver in known.drivers:
        for orm in ("none", *STACKS):
            for fix in answer(known, "bad record mac", driver=driver, orm=orm, launcher=launcher).fixes:
                if fix.launcher and fix.driver:  # which is another than the driver if no cell runs that one
                    ran = [known.launched[cell] for cell in fix.cells]
                    assert all(seen.holds for seen in ran)
                    cell = ran[0].cell
                    assert (cell.driver, cell.launcher, cell.remedy) == (fix.driver, launcher, fix.remedy)
                    assert fix.files == assemble(cell.application, launcher, fix.remedy, fix.driver).files
                    held += 1
    assert held


def test_code_under_a_launcher_without_cells_says_that_it_is_not_run(facts: Facts) -> None:
    for launcher in launchers():
        found = answer(facts, "bad record mac", driver="quick", orm="django", launcher=launcher)
        assert found.fixes
        assert {fix.launcher for fix in found.fixes} == {None}
        assert any("tested with a plain fork" in note for note in found.notes)


def test_a_launcher_that_forks_inside_its_own_code_gets_none_that_stands_where_it_forks() -> None:
    found = answer(load(), "bad record mac", driver="psycopg", orm="django", launcher="airflow")
    for fix in found.fixes:
        assert fix.launcher
        assert not fix.files.keys() & launchers()[fix.launcher].files.keys()
    assert any("forks in the same way" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 reached", "exhausted"),
        ("_mysql_exceptions.OperationalError: (1045, \"Access denied for user 'a'@'b'\")", "connecting"),
        ("psycopg2.errors.AdminShutdown: terminating connection due to administrator command", "restart"),
        ("(1153, \"Got a packet bigger than 'max_allowed_packet' bytes\")", "packet-size"),
    ],
)
def test_another_cause_is_an_answer_too_and_gets_no_code_against_forks(facts: Facts, text: str, cause: str) -> None:
    found = answer(facts, text)
    first = found.causes[0]
    assert first.id == cause
    assert first.fix == found.verdict[2]
    assert first.checks
    if len(found.causes) == 1:
        assert found.fixes == ()


def test_a_symptom_that_is_only_reported_says_so(facts: Facts) -> None:
    text = printed(answer(facts, "lost synchronization with server: got message type 0x44"))
    assert "not reproduced here" in text
    assert "https://" in text


def test_an_unknown_message_says_so_and_shows_the_nearest(facts: Facts) -> None:
    found = answer(facts, "the flux capacitor closed the connection")
    assert not found.known
    text = printed(found)
    assert text.startswith("Unknown")
    assert "server closed the connection unexpectedly" in text


def test_a_year_is_no_error_code(facts: Facts) -> None:
    assert answer(facts, "it broke in 2013, and again in 2006").symptom is None
    assert answer(facts, "2006-10-04 10:00:00,000 INFO GET / 200\n2013-10-04 it was slow").symptom is None


@pytest.mark.parametrize(
    "text",
    ["", "\n", "Traceback (most recent call last):", "x" * 100_000, "%s {} \\d (((", "\0\ud800", b"\xff\xfe", b"\x80"],
)
def test_odd_input_is_an_answer_and_no_exception(facts: Facts, text: str | bytes) -> None:
    found = answer(facts, text)
    assert not found.known
    assert printed(found).encode("utf-8")


def test_megabytes_of_log_around_a_message_change_nothing(facts: Facts) -> None:
    noise = "".join(f"2013-10-04 10:00:00 INFO GET /orders/{order} 200 in 2006 ms\n" for order in range(40_000))
    found = answer(facts, noise + TRACEBACK + noise)
    assert (found.symptom, found.driver, found.orm) == ("mysql-server-has-gone-away", "swift", "django")


def test_an_answer_for_programs_has_the_same_content(
    facts: Facts, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(explain_command, "load", lambda *_, **__: facts)
    assert main(["explain", "--format", "json", "--driver", "swift", "server has gone away"]) == 0
    found = msgspec.json.decode(capfdbinary.readouterr().out, type=Answer)
    assert found == answer(facts, "server has gone away", driver="swift")


def test_without_arguments_on_a_terminal_it_says_that_it_waits(
    facts: Facts, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(explain_command, "load", lambda *_, **__: facts)
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(TRACEBACK.encode())))
    assert main(["explain"]) == 0
    out, err = capfd.readouterr()
    assert err.startswith("Waiting for a pasted message or traceback")
    assert out.startswith("What happened: ")


def test_explain_imports_nothing_that_draws_pages_or_writes_files() -> None:
    heavy = "jinja2", "markdown_it", "rich", "tomlkit", "filelock", "psutil", "matrix.run"
    program = f"import sys, matrix.pages.explain_command; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_is_found_in_the_module_that_is_named_for_it() -> None:
    parser = argparse.ArgumentParser()
    for module, names in COMMANDS.items():
        commands_of_it = parser.__class__().add_subparsers()
        importlib.import_module(module).add_commands(commands_of_it)
        assert set(commands_of_it.choices) == set(names)


# The pages of messages.


def test_every_symptom_has_a_page_with_its_message_in_the_title(facts: Facts) -> None:
    pages = render(facts)
    for symptom in symptoms.collect(facts):
        title = next(line for line in pages[symptom.page].splitlines() if line.startswith("# "))
        assert title.removeprefix("# ") in (symptom.title, tables.escape(symptom.title))
        assert symptom.page.removeprefix("docs/") in pages["docs/symptoms.md"]


def test_a_page_has_the_verdict_the_checks_and_code_for_each_stack(facts: Facts) -> None:
    page = render(facts)["docs/errors/mysql-server-has-gone-away.md"]
    for part in ("**What happened:**", "**How sure:**", "**What to do:**", "## How to check", "## Fix for a fork"):
        assert part in page
    assert page.count("```python") >= len(OWN_STACKS)


def test_a_page_of_what_no_cell_shows_says_so(facts: Facts) -> None:
    page = render(facts)["docs/errors/pgres-tuples-ok-and-no-message-from-the-libpq.md"]
    assert "**Reported, not reproduced here:**" in page


def test_what_no_cell_of_the_committed_results_shows_names_where_it_was_reported() -> None:
    for symptom in symptoms.collect(load()):
        assert symptom.cells or symptom.described.reported or symptom.described.outcomes, symptom.id


def test_a_page_of_a_message_that_is_gone_is_removed(root: Path) -> None:
    facts = load(root / "results", root)
    check.write(facts)
    stale = root / "docs" / "errors" / "no-such-message.md"
    stale.write_text("# Gone\n", encoding="utf-8")
    assert any("no-such-message.md" in problem for problem in check.problems(facts))
    check.write(facts)
    assert not stale.exists()


def test_commands_end_with_the_right_status(capsys: pytest.CaptureFixture[str]) -> None:
    drivers = catalogue.drivers()
    name, driver = next((name, one) for name, one in drivers.items() if "django" in one.facts.stacks)
    assert main(["explain", "MySQL server has gone away"]) == 0
    assert main(["explain", "the flux capacitor is out"]) == 1
    for called in (name, driver.facts.distributions[0].upper(), driver.facts.module):
        assert (
            main(["advise", "--driver", called, "--orm", "django", "--launcher", next(iter(launchers())), "--tls"]) == 0
        )
    capsys.readouterr()
    assert main(["advise", "--driver", "cx_oracle"]) == 2
    assert main(["advise", "--driver", name, "--launcher", "systemd"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(known in lines[0] for known in drivers)
    assert all(known in lines[1] for known in launchers())


def test_a_driver_that_is_not_run_with_an_orm_is_one_line(
    facts: Facts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "load", lambda _: facts)
    assert main(["advise", "--driver", PLAIN, "--orm", "django"]) == 2
    assert (
        capsys.readouterr().err
        == "matrix: plain is not run with Django, but as: without an ORM, SQLAlchemy, Flask-SQLAlchemy\n"
    )
    assert main(["advise", "--driver", PLAIN, "--orm", "sqlalchemy"]) == 0


def test_the_committed_pages_are_as_they_should_be() -> None:
    assert check.problems(load()) == []
