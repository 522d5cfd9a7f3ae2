"""Claims and reasons: a mistake in one is an error with its line, and `--update` changes no more than what changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from matrix import servers
from matrix.catalogue import claims as module
from matrix.catalogue.claims import claims, reasons, update
from matrix.errors import MatrixError
from matrix.records.claim import UNREVIEWED, Claim
from matrix.records.facts import TRANSPORTS
from matrix.records.observation import Coordinates
from matrix.records.outcomes import OUTCOMES, Outcome
from matrix.servers import products

REASON = """\
[quits]
sentence = "It quits."
fix_in = "you"
link = "https://example.org/"

[deaf]
sentence = "It does not listen."
fix_in = "driver"
[[deaf.sources]]
package = "some"
version = "1.0"
file = "some.c"
line = 7
url = "https://example.org/some.c#L7"
"""
CLAIM = """\
# A comment.

"bare/closed/fakedb" = {outcome = "parent error", reason = "quits"}  # at the end
"""
STACKS = ("bare", "orm")
EXAMPLES = ("closed", "opened")
DEFAULT = [
    Coordinates(stack, example, "some", "fakedb", transport)
    for stack in STACKS
    for example in EXAMPLES
    for transport in TRANSPORTS
]
FACTS = next(iter(products.products().values())).facts
FAKEDB = products.Product("fakedb", replace(FACTS, like=None), {})
LIKEDB = products.Product("likedb", replace(FACTS, like="fakedb"), {})
KNOWN = {
    known.name: known
    for known in (*(products.Known(FAKEDB, series) for series in (None, "9", "17.2")), products.Known(LIKEDB, None))
}
NAMES = tuple(KNOWN)
EVERY = [Coordinates(cell.stack, cell.example, "some", name, cell.transport) for cell in DEFAULT for name in NAMES]
outcomes = st.sets(st.sampled_from(list(OUTCOMES)[:4]), min_size=1, max_size=2).map(tuple)
observations = st.dictionaries(st.sampled_from(EVERY), outcomes, max_size=12)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one driver and two examples in two stacks; one server has three versions, one is like it."""
    monkeypatch.setattr(module, "cells", lambda _, names: [cell for cell in EVERY if cell.server in names])
    monkeypatch.setattr(servers, "names", lambda: NAMES)
    monkeypatch.setattr(products, "find", KNOWN.__getitem__)
    for folder in ("drivers/some", "matrix"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "matrix/reasons.toml").write_text(REASON)
    return tmp_path


def file(root: Path) -> Path:
    return root / "drivers/some/expected.toml"


def claimed(root: Path, text: str) -> dict[str, tuple[Outcome, ...]]:
    """Return the claims that a file of this text makes for `bare/closed`, by server and transport."""
    file(root).write_text(text)
    return {
        f"{cell.server}/{cell.transport}": claim.outcomes
        for cell, claim in claims("some", root).items()
        if (cell.stack, cell.example) == ("bare", "closed")
    }


def test_a_claim_holds_for_every_version_and_transport(root: Path) -> None:
    every = {f"{name}/{transport}": ("parent error",) for name in NAMES for transport in TRANSPORTS}
    assert claimed(root, CLAIM) == every


def test_the_most_specific_claim_wins(root: Path) -> None:
    text = (
        '"bare/closed/fakedb17/unix" = {outcome = "leak", reason = "deaf"}\n'
        '"bare/closed/fakedb17" = {outcome = "crash", reason = "deaf"}\n'
        '"bare/closed/fakedb/tls" = {outcome = ["hang", "crash"], reason = "deaf", note = "Yes."}\n'
        '"bare/closed/fakedb17.2/tls" = {outcome = "works", reason = "deaf"}\n'
    )
    found = claimed(root, text + CLAIM)
    assert [found[f"fakedb/{name}"] for name in TRANSPORTS] == [("parent error",), ("hang", "crash"), ("parent error",)]
    assert [found[f"fakedb9/{name}"] for name in TRANSPORTS] == [
        ("parent error",),
        ("hang", "crash"),
        ("parent error",),
    ]
    assert [found[f"fakedb17.2/{name}"] for name in TRANSPORTS] == [("crash",), ("works",), ("leak",)]
    assert [found[f"likedb/{name}"] for name in TRANSPORTS] == [found[f"fakedb/{name}"] for name in TRANSPORTS]


def test_a_key_of_its_own_overrides_those_of_the_product_that_it_is_like(root: Path) -> None:
    found = claimed(
        root,
        CLAIM
        + '"bare/closed/fakedb/tls" = {outcome = "hang", reason = "deaf"}\n'
        + '"bare/closed/likedb/unix" = {outcome = "crash", reason = "deaf"}\n',
    )
    assert [found[f"likedb/{name}"] for name in TRANSPORTS] == [("parent error",), ("hang",), ("crash",)]
    assert found["fakedb/unix"] == ("parent error",)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("bare/closed/fakedb", "bare/close/fakedb", ["line 3", "bare/close/fakedb", 'mean "bare/closed/fakedb"']),
        ("bare/closed/fakedb", "bare/closed/fakedb8", ["line 3", "fakedb8", "<stack>/<example>/<server>"]),
        ("bare/closed/fakedb", "bare/closed/fakedb/quic", ["line 3", "quic"]),
        ('"parent error"', '"parent terror"', ["line 3", "bare/closed/fakedb, outcome", "parent terror"]),
        ('"parent error"', '["hang", "hang"]', ["line 3", "twice"]),
        ('"parent error"', '["hang"]', ["line 3", "outcome"]),
        ("quits", "quit", ["line 3", "unknown reason 'quit'", "did you mean 'quits'"]),
        ("quits", UNREVIEWED, ["line 3", "name its reason"]),
        ("reason =", "raison =", ["line 3", "bare/closed/fakedb"]),
        ('reason = "quits"', 'reason = "quits', ["not TOML", "line 3"]),
        ('"bare/closed/fakedb" = {outcome', '["bare/closed/fakedb"]\noutcome', ["not TOML", "line 4"]),
        (CLAIM, '["bare/closed/fakedb"]\noutcome = "works"\nreason = "deaf"', ["line 1", "a claim is one line"]),
    ],
)
def test_a_malformed_claim_is_one_line_that_says_where(root: Path, before: str, after: str, words: list[str]) -> None:
    with pytest.raises(MatrixError) as caught:
        claimed(root, CLAIM.replace(before, after))
    assert "\n" not in str(caught.value)
    for word in ["drivers/some/expected.toml", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('fix_in = "you"', 'fix_in = "them"', ["line 1", "quits, fix_in", "them"]),
        ('link = "https://example.org/"', "", ["line 1", "`link` or `sources`"]),
        ("It quits", 'It"\nmore = "', ["line 1", "more"]),
        ("line = 7", "line = 0", ["line 6", "deaf, sources[0].line"]),
        ("line = 7", 'line = 7\nobject = "some:Class"', ["line 6", "`object` and `contains`"]),
    ],
)
def test_a_malformed_reason_is_one_line_that_says_where(root: Path, before: str, after: str, words: list[str]) -> None:
    assert set(reasons(root)) == {"quits", "deaf"}
    reasons.cache_clear()
    (root / "matrix/reasons.toml").write_text(REASON.replace(before, after))
    with pytest.raises(MatrixError) as caught:
        reasons(root)
    assert "\n" not in str(caught.value)
    for word in ["matrix/reasons.toml", *words]:
        assert word in str(caught.value)


def test_update_of_one_cell_changes_its_line_alone(root: Path) -> None:
    text = CLAIM + '\n"bare/opened/fakedb" = {reason="deaf",   outcome = "works", note = "Once."}# kept\n# the end'
    file(root).write_text(text)
    tcp, tls = DEFAULT[0], DEFAULT[1]
    update("some", {tls: ("hang",)}, root)
    added = f'"bare/closed/fakedb/tls" = {{outcome = "hang", reason = "{UNREVIEWED}"}}\n'
    assert file(root).read_text() == text.replace("at the end\n", f"at the end\n{added}") + "\n"
    update("some", {tls: ("crash",), tcp: ("parent error",)}, root)
    assert (
        file(root).read_text() == text.replace("at the end\n", f"at the end\n{added}").replace("hang", "crash") + "\n"
    )
    update("some", dict.fromkeys(DEFAULT[3:6], ("leak",)), root)
    assert f'"bare/opened/fakedb" = {{outcome = "leak", reason = "{UNREVIEWED}"}}# kept\n' in file(root).read_text()


def test_update_never_invents_a_reason(root: Path) -> None:
    file(root).write_text(CLAIM)
    update("some", dict.fromkeys(DEFAULT[:3], ("hang",)), root)
    with pytest.raises(MatrixError, match=r"line 3: .*name its reason"):
        claims("some", root)
    assert claims("some", root, reviewed=False)[DEFAULT[0]] == Claim(("hang",), UNREVIEWED)


def test_a_version_that_stays_keeps_its_claim_when_the_default_server_changes(root: Path) -> None:
    file(root).write_text(CLAIM)
    mine = [cell for cell in EVERY if (cell.stack, cell.example) == ("bare", "closed")]
    seen: dict[Coordinates, tuple[Outcome, ...]] = {
        cell: ("hang",) if cell.server == "fakedb" else ("parent error",) for cell in mine
    }
    update("some", seen, root)
    found = claims("some", root, reviewed=False)
    assert {cell.server: found[cell] for cell in mine} == {
        "fakedb": Claim(("hang",), UNREVIEWED),
        "fakedb9": Claim(("parent error",), "quits"),
        "fakedb17.2": Claim(("parent error",), "quits"),
        "likedb": Claim(("parent error",), "quits"),
    }
    assert len(file(root).read_text().splitlines()) == len(CLAIM.splitlines()) + 3


def test_a_new_file_has_a_line_for_what_transports_share_and_a_paragraph_for_each_example(root: Path) -> None:
    seen: dict[Coordinates, tuple[Outcome, ...]] = {
        cell: ("hang", "wrong row") if cell.transport == "tls" and cell.stack == "orm" else ("works",)
        for cell in DEFAULT
    }
    update("some", seen, root)
    body = file(root).read_text().split("\n\n", 1)[1]
    paragraph = (
        f'"bare/closed/fakedb" = {{outcome = "works", reason = "{UNREVIEWED}"}}\n'
        f'"orm/closed/fakedb" = {{outcome = "works", reason = "{UNREVIEWED}"}}\n'
        f'"orm/closed/fakedb/tls" = {{outcome = ["wrong row", "hang"], reason = "{UNREVIEWED}"}}\n'
    )
    assert body == paragraph + "\n" + paragraph.replace("closed", "opened")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(observations, observations)
def test_update_claims_what_was_observed_and_keeps_every_other_claim(
    root: Path, first: dict[Coordinates, tuple[Outcome, ...]], second: dict[Coordinates, tuple[Outcome, ...]]
) -> None:
    file(root).unlink(missing_ok=True)
    update("some", first, root)
    before = claims("some", root, reviewed=False)
    for cell, seen in first.items():
        assert set(before[cell].outcomes) == set(seen)
    update("some", second, root)
    after = claims("some", root, reviewed=False)
    for cell, seen in second.items():
        fits = cell in before and set(seen) <= set(before[cell].outcomes)
        assert after[cell] == before[cell] if fits else set(after[cell].outcomes) == set(seen)
    for cell, claim in before.items():
        if cell.server == "fakedb" and cell not in second:
            assert after[cell] == claim
    text = file(root).read_bytes() if first or second else b""
    update("some", second, root)
    update("some", {cell: claim.outcomes for cell, claim in after.items()}, root)
    assert not text or file(root).read_bytes() == text


def test_update_leaves_what_it_does_not_know(root: Path) -> None:
    text = (
        CLAIM + '"gone/for/good" = {outcome = "works", reason = "deaf"}\nodd = {outcome = "works", reason = "deaf"}\n'
    )
    file(root).write_text(text)
    update("some", {DEFAULT[0]: ("hang",)}, root)
    lines = file(root).read_text().splitlines()
    assert [line for line in lines if "closed/fakedb/tcp" not in line] == text.splitlines()


def test_update_with_what_is_claimed_does_not_write(root: Path) -> None:
    file(root).write_text(CLAIM.rstrip("\n"))
    before = file(root).stat()
    update("some", dict.fromkeys(DEFAULT[:3], ("parent error",)), root)
    assert (file(root).stat().st_ino, file(root).stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_nothing_is_written_if_it_cannot_be_written_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file(root).write_text(CLAIM)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MatrixError, match="No space left on device"):
        update("some", {DEFAULT[0]: ("hang",)}, root)
    assert file(root).read_text() == CLAIM
    assert list((root / "drivers/some").glob(".expected*")) == []
