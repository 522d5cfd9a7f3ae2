"""Claims and reasons: a mistake in one is an error with its line, and `--update` invents nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.catalogue import Cell, cells
from matrix.catalogue.claims import UNREVIEWED, claims, reasons, update
from matrix.errors import MatrixError

DRIVER = """\
requires = ["some"]
distributions = ["some"]
module = "some"
implementation = "python"
protocol = "mysql"
servers = ["mariadb"]
schemes = ["some"]
descriptor = "public"
code = "args"
page = {about = "", descriptor = ""}
stacks = {bare = {}}
[urls]
tcp = "some://{host}"
tls = "some://{host}"
unix = "some://{socket}"
"""
REASON = """\
[goodbye]
sentence = "It says goodbye."
mover = "you"
link = "https://example.org/"
"""
CLAIM = """\
# A comment.

["bare/closed/mariadb"]
outcome = "parent error"
reason = "goodbye"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with one driver and one example."""
    for folder in ("drivers/some", "django_examples", "sqlalchemy_examples", "matrix"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "drivers/some/driver.toml").write_text(DRIVER)
    (tmp_path / "drivers/stack.toml").write_text('name = "bare"\ntitle = "no ORM"\norder = 1\n')
    (tmp_path / "drivers/closed.py").write_text('"""It closes.\n\nHazard. It does.\n\nRemedies: none_yet\n"""\n')
    (tmp_path / "matrix/reasons.toml").write_text(REASON)
    return tmp_path


def claim(root: Path, text: str) -> dict[Cell, tuple[str, ...]]:
    (root / "drivers/some/expected.toml").write_text(text)
    return {cell: claim.outcomes for cell, claim in claims("some", root).items()}


def test_a_claim_speaks_for_every_transport(root: Path) -> None:
    assert claim(root, CLAIM) == dict.fromkeys(cells(root), ("parent error",))
    assert len(cells(root)) == 3


def test_a_claim_for_one_transport_wins(root: Path) -> None:
    one = '["bare/closed/mariadb/tls"]\noutcome = ["hang", "crash"]\nreason = "goodbye"\n'
    found = claim(root, one + CLAIM)
    assert [found[cell] for cell in cells(root)] == [("parent error",), ("hang", "crash"), ("parent error",)]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("bare/closed/mariadb", "bare/opened/mariadb", ["line 3", "bare/opened/mariadb", "<stack>/<example>/<server>"]),
        ('"parent error"', '"parent terror"', ["line 3", "parent terror"]),
        ('reason = "goodbye"', 'reason = "hello"', ["line 3", "unknown reason 'hello'"]),
        ('reason = "goodbye"', 'raison = "goodbye"', ["line 3"]),
        ('reason = "goodbye"', 'reason = "goodbye', ["not TOML", "line 5"]),
        ('"parent error"', '["hang", "hang"]', ["line 3"]),
    ],
)
def test_a_malformed_claim_is_one_line_that_says_where(root: Path, before: str, after: str, words: list[str]) -> None:
    with pytest.raises(MatrixError) as caught:
        claim(root, CLAIM.replace(before, after))
    assert "\n" not in str(caught.value)
    for word in ["drivers/some/expected.toml", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after"),
    [('mover = "you"', 'mover = "them"'), ('link = "https://example.org/"', ""), ("sentence", "sentense")],
)
def test_a_malformed_reason_is_refused(root: Path, before: str, after: str) -> None:
    (root / "matrix/reasons.toml").write_text(REASON.replace(before, after))
    with pytest.raises(MatrixError, match=r"matrix/reasons\.toml, line 1"):
        reasons(root)


def test_update_keeps_reasons_of_what_stays_and_invents_none(root: Path) -> None:
    claim(root, CLAIM)
    tcp, tls, unix = cells(root)
    update("some", {tcp: ("parent error",), tls: ("hang",)}, root)
    text = (root / "drivers/some/expected.toml").read_text()
    assert text.count('reason = "goodbye"') == 2
    assert text.count(f'reason = "{UNREVIEWED}"') == 1
    with pytest.raises(MatrixError, match="write the reason"):
        claims("some", root)
    update("some", {tcp: ("parent error",), tls: ("parent error",), unix: ("parent error",)}, root)
    text = (root / "drivers/some/expected.toml").read_text()
    assert '["bare/closed/mariadb/tls"]' in text


def test_update_joins_transports_that_say_the_same(root: Path) -> None:
    claim(root, CLAIM)
    update("some", dict.fromkeys(cells(root), ("parent error",)), root)
    assert claim(root, (root / "drivers/some/expected.toml").read_text()) == dict.fromkeys(
        cells(root), ("parent error",)
    )
    assert (root / "drivers/some/expected.toml").read_text().count("\noutcome = ") == 1


def test_nothing_is_written_where_it_cannot_be_written_whole(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim(root, CLAIM)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(MatrixError, match="No space left on device"):
        update("some", {}, root)
    assert (root / "drivers/some/expected.toml").read_text() == CLAIM
    assert list((root / "drivers/some").glob(".*")) == []
