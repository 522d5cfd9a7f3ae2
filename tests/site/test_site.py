"""The site that was built: no link is dead, pages are small, and every message, driver, cause and stack has its own."""

from __future__ import annotations

import json
import os
import posixpath
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from matrix import catalogue
from matrix.catalogue.claims import reasons
from matrix.catalogue.launchers import launchers
from matrix.catalogue.reproductions import reproductions
from matrix.pages import data, errors
from matrix.pages.facts import load
from matrix.records.reading import ROOT

SITE = Path(os.environ.get("SITE", ROOT / "site"))
#: What a reader opens; the theme's own templates are in `_static`.
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if "_static" not in path.parts)
#: The matrix report is one file with all data, which readers save; see matrix/report/page.py for its limit.
REPORT = "report.html"
LIMIT = 300_000


class Page(HTMLParser):
    """The addresses that a page refers to, and the ids that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value and tag in ("a", "img", "link", "script"):
                self.addresses.append(value)


@cache
def page(name: str) -> Page:
    return Page((SITE / name).read_text("utf-8"))


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """The site has to be there: these tests look at it, and do not build it."""
    assert PAGES, f"there is no site in {SITE}; nox -s site builds it"


def test_no_link_is_dead() -> None:
    dead = []
    for name in PAGES:
        for address in page(name).addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(parts.path)))
            target = name if not parts.path else target
            if not (SITE / target).is_file():
                dead.append(f"{name}: {address}")
                continue
            # The report's script reads its fragments.
            known = page(target).ids if target in PAGES and target != REPORT else {unquote(parts.fragment)}
            if parts.fragment and unquote(parts.fragment) not in known:
                dead.append(f"{name}: {address}: no such id")
    assert dead == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    """It works without a network: only links that a reader follows lead away."""

    class Loaded(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            address = given.get("src") or (given.get("href") if given.get("rel") == "stylesheet" else None) or ""
            if tag != "a" and urlsplit(address).netloc:
                self.found.append(address)

    loaded = Loaded()
    loaded.found = []
    for name in PAGES:
        loaded.feed((SITE / name).read_text("utf-8"))
    assert loaded.found == []


def test_each_page_is_small() -> None:
    large = {name: (SITE / name).stat().st_size for name in PAGES if name != REPORT}
    assert {name: size for name, size in large.items() if size > LIMIT} == {}


def test_every_subject_has_an_address() -> None:
    facts = load()
    wanted = [f"errors/{one.symptom.id}" for one in errors.every_page(facts)]
    wanted += [f"drivers/{name}" for name in catalogue.drivers()]
    wanted += [f"examples/{name}" for name in facts.names()]
    wanted += [f"causes/{name}" for name in reasons()]
    wanted += [f"launchers/{one.launcher}/{one.application}" for one in {seen.cell for seen in facts.launched.values()}]
    wanted += [f"launchers/{name}" for name in launchers()]
    wanted += [f"reproductions/{name}" for name in reproductions()]
    assert [name for name in wanted if f"{name}.html" not in PAGES] == []


def test_the_data_fits_its_schema_and_holds_every_cell() -> None:
    whole = json.loads((SITE / "data" / "results.json").read_text("utf-8"))
    assert len(whole["cells"]) == len(load().observed)
    assert json.loads((SITE / "data" / "schema.json").read_text("utf-8")) == data.schema()
    given, known = set().union(*whole["cells"]), set(data.Cell.__struct_fields__)
    assert given <= known


def test_search_finds_a_message_without_a_server() -> None:
    index = (SITE / "searchindex.js").read_text("utf-8")
    assert index.startswith("Search.setIndex(")
    assert all(word in index for word in ("sequenc", "gone", "decrypt"))


@pytest.mark.parametrize("driver", catalogue.drivers())
def test_a_badge_says_in_words_what_its_colour_says(driver: str) -> None:
    text = (SITE / "badges" / f"{driver}.svg").read_text("utf-8")
    assert text.startswith("<svg")
    assert "hazards do harm" in text or "not run yet" in text
