"""The report to look at, in a real Chromium: `nox -s browser`."""
# Playwright is installed for that session only.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.reports import ABSENT, CLOSED, DIFFERS, HANGS, REMEDY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Locator, Page

    Open = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, report: str) -> Iterator[Open]:
    """Open the report, at a hash if wished; in the end nothing must have been complained of or asked of a network."""
    complaints: list[str] = []
    contexts = []

    def open_page(hash: str = "", **options: Any) -> Page:  # noqa: A002 -- the web's own word for it
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda it: complaints.append(it.url) if not it.url.startswith(("file:", "data:")) else None)
        page.goto(report + hash)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def cell(page: Page, key: str) -> Locator:
    return page.locator(f'#grid a[href="#cell={key}"]')


def shown(page: Page) -> list[str]:
    links = page.locator("#grid td:not([hidden]) a").filter(visible=True)
    return [str(link.get_attribute("href")).removeprefix("#cell=") for link in links.all()]


def test_every_cell_is_shown_with_sign_and_word(visit: Open) -> None:
    page = visit()
    assert sorted(shown(page)) == sorted([CLOSED, REMEDY, HANGS, DIFFERS, ABSENT])
    expect(cell(page, CLOSED)).to_have_text("✗ parent error")
    expect(page.locator("#count")).to_have_text("5 cells")
    expect(page.get_by_role("grid")).to_be_visible()
    assert page.title() == "Forked processes and database connections: the matrix"


def test_filters_leave_rows_and_columns_out_and_stand_in_the_address(visit: Open) -> None:
    page = visit()
    page.get_by_text("pymysql", exact=True).first.click()
    assert sorted(shown(page)) == sorted([CLOSED, REMEDY, HANGS])
    assert page.url.endswith("#driver=pymysql")
    page.locator(".outcomes").get_by_text("parent error").click()
    assert shown(page) == [CLOSED]
    assert page.url.endswith("#driver=pymysql&outcome=parent%20error")
    expect(page.locator("#count")).to_have_text("1 of 5 cells")
    assert page.locator("thead th[data-transport]").filter(visible=True).all_inner_texts() == ["tcp"]
    page.reload()
    assert shown(page) == [CLOSED]
    page.get_by_role("button", name="Show all").click()
    assert len(shown(page)) == 5
    assert "#" not in page.url


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("discarded", [REMEDY]),
        ("django/*/pymysql", [HANGS]),
        ("psycopg unix", [DIFFERS]),
        ("*/closed_in_child", [ABSENT, CLOSED, DIFFERS]),
        ("<b>", []),
    ],
)
def test_a_search_takes_words_and_patterns(visit: Open, typed: str, found: list[str]) -> None:
    page = visit()
    page.get_by_label("Example, cell").fill(typed)
    assert sorted(shown(page)) == sorted(found)
    expect(page.get_by_text("No cell is like that.")).to_be_visible(visible=not found)


def test_a_search_that_no_id_fits_looks_at_messages_and_wire_text(visit: Open) -> None:
    page = visit()
    page.get_by_label("Example, cell").fill("no TLS")
    expect(page.locator("#count")).to_have_text("1 of 5 cells")
    assert shown(page) == [ABSENT]
    page.get_by_label("Example, cell").fill("OperationalError")
    expect(page.locator("#count")).not_to_have_text("0 of 5 cells")
    assert CLOSED in shown(page)


def test_a_slash_leads_to_the_search_and_n_and_p_to_the_cells_beside(visit: Open) -> None:
    page = visit()
    page.keyboard.press("/")
    expect(page.get_by_label("Example, cell")).to_be_focused()
    page.get_by_label("Example, cell").press("Escape")
    page.locator("h1").click()
    first, second = shown(page)[:2]
    page.goto(f"{page.url.partition('#')[0]}#cell={first}")
    expect(page.get_by_role("button", name="Previous")).to_be_disabled()
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile(re.escape(f"#cell={second}") + "$"))
    page.keyboard.press("p")
    expect(page).to_have_url(re.compile(re.escape(f"#cell={first}") + "$"))


def test_what_was_found_is_said_first_and_leads_to_its_cells(visit: Open) -> None:
    page = visit()
    found = page.locator(".found a")
    outcome = (found.first.get_attribute("href") or "").partition("=")[2].replace("%20", " ")
    found.first.click()
    expect(page.locator("#count")).to_have_text(re.compile(r"^\d+ of 5 cells$"))
    assert {page.locator(f'a[href="#cell={key}"] span').first.inner_text() for key in shown(page)} <= {outcome}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True])
def test_axe_finds_nothing(browser: Browser, report: str, scheme: str, opened: bool) -> None:
    context = browser.new_context(
        color_scheme=scheme, bypass_csp=True
    )  # the page's policy allows no script but its own
    page = context.new_page()
    page.goto(f"{report}#cell={CLOSED}" if opened else report)
    page.wait_for_timeout(300)
    result = Axe().run(page)
    context.close()
    assert result.violations_count == 0, result.generate_report()


def test_only_what_is_not_as_claimed(visit: Open) -> None:
    page = visit()
    page.get_by_text("not as expected 1").click()
    assert shown(page) == [DIFFERS]


def test_a_click_opens_a_cell_and_escape_closes_it(visit: Open) -> None:
    page = visit()
    cell(page, CLOSED).click()
    dialog = page.get_by_role("dialog", name="closed_in_child")
    expect(dialog).to_contain_text("The parent got an exception.")
    expect(dialog).to_contain_text("parent error: as expected")
    expect(dialog).to_contain_text("close() ends the session")
    expect(dialog).to_contain_text("Fix inyour application")
    expect(dialog.get_by_role("link", name="example.org/why")).to_have_attribute("href", "https://example.org/why")
    assert page.url.endswith(f"#cell={CLOSED}")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cell(page, CLOSED)).to_be_focused()
    assert "#" not in page.url


def test_a_link_to_a_cell_opens_it_and_the_way_back_closes_it(visit: Open) -> None:
    page = visit(f"#driver=pymysql&cell={REMEDY}")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("discarded_in_child")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()
    assert page.url.endswith("#driver=pymysql")
    cell(page, CLOSED).click()
    expect(dialog).to_be_visible()
    page.go_back()
    expect(dialog).to_be_hidden()


def test_the_grid_is_one_stop_of_tab_and_arrows_move_in_it(visit: Open) -> None:
    page = visit()
    assert page.locator('#grid a[tabindex="0"]').count() == 1
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the matrix
    expect(cell(page, CLOSED)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(cell(page, CLOSED)).to_be_focused()  # nothing stands there
    page.keyboard.press("Control+End")
    expect(cell(page, REMEDY)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(cell(page, CLOSED)).to_be_focused()
    page.keyboard.press("PageDown")
    expect(cell(page, REMEDY)).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="discarded_in_child")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("heading", level=2)).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        inside = "document.querySelector('dialog').contains(document.activeElement)"
        assert page.evaluate(f"document.activeElement === document.body || {inside}")
    page.keyboard.press("Escape")
    expect(cell(page, REMEDY)).to_be_focused()


def test_the_timeline_is_drawn(visit: Open) -> None:
    page = visit(f"#cell={CLOSED}")
    diagram = page.get_by_role("region", name=re.compile("Sequence diagram of parent, child 1 and server session A, B"))
    expect(diagram.locator(".head text")).to_have_text(["parent", "child 1", "session A", "session B", "server"])
    for text in ("COM_QUIT", "FIN", "shows no session", "look up 1: order 1, session A"):
        expect(diagram.locator(".body text", has_text=text).first).to_be_visible()
    expect(diagram.locator(".body text", has_text="unknown: parent or child 1").first).to_be_visible()
    expect(diagram.locator(".unknown")).to_have_count(2)
    expect(diagram.locator(".body text.bad", has_text="look up 2: raised")).to_be_visible()
    page.get_by_text("The same as a table").click()
    expect(page.get_by_role("row", name="90.7 child 1 A COM_QUIT")).to_be_visible()


def test_without_evidence_the_transcript_is_drawn(visit: Open) -> None:
    page = visit(f"#cell={REMEDY}")
    diagram = page.locator(".diagram")
    expect(diagram.locator(".head text")).to_have_text(["parent", "child 1", "session A", "session B"])
    expect(diagram.locator(".body text", has_text="look up 101: order 101, session B")).to_be_visible()
    expect(page.get_by_role("region", name="Transcript")).to_contain_text("child 1  look up 101: order 101, session B")


def test_the_code_of_the_remedy_is_copied(visit: Open) -> None:
    page = visit(f"#cell={CLOSED}", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy: Code of discarded_in_child").click()
    expect(page.get_by_role("status").filter(has_text="Copied")).to_have_count(1)
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "def discard(connection):" in copied
    compile(copied, "copied", "exec")


def test_from_a_hazard_to_its_remedy(visit: Open) -> None:
    page = visit(f"#cell={CLOSED}")
    page.get_by_role("link", name="Open its cell").click()
    expect(page.get_by_role("dialog", name="discarded_in_child")).to_be_visible()
    assert page.url.endswith(f"#cell={REMEDY}")


def test_hostile_text_is_shown_and_does_nothing(visit: Open) -> None:
    for key in (DIFFERS, ABSENT):
        page = visit(f"#cell={key}")
        expect(page.get_by_role("dialog")).to_contain_text("</script><script>document.title='owned'</script>")
        assert page.locator("dialog img, dialog script").count() == 0
        assert page.title().startswith("Forked")


def test_a_cell_that_is_not_there_is_said(visit: Open) -> None:
    page = visit("#cell=bare/nothing/pymysql/mariadb/tcp")
    expect(page.get_by_role("dialog")).to_contain_text("This report has no such cell.")


@pytest.mark.parametrize("hash", ["", f"#cell={CLOSED}"])  # the web's own word for it
def test_a_narrow_screen_scrolls_only_down(visit: Open, hash: str) -> None:  # noqa: A002
    page = visit(hash, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    if hash:
        expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("(document.querySelector('dialog[open]') || document.body).scrollWidth") <= 360
    if not hash:
        cell(page, CLOSED).tap()
        expect(page.get_by_role("dialog")).to_be_visible()


def luminance(page: Page, selector: str) -> float:
    text = page.locator(selector).first.evaluate("element => getComputedStyle(element).backgroundColor")
    return sum(map(float, re.findall(r"[\d.]+", text)[:3])) / 3


def test_light_and_dark_follow_the_system_and_the_switch(visit: Open) -> None:
    assert luminance(visit(color_scheme="light"), "body") > 200
    page = visit(color_scheme="dark")
    assert luminance(page, "body") < 60
    page.get_by_text("light", exact=True).click()
    assert luminance(page, "body") > 200
    page.reload()
    assert luminance(page, "body") > 200
    page.get_by_text("as the system", exact=True).click()
    assert luminance(page, "body") < 60


def test_without_a_script_the_table_can_be_read(browser: Browser, report: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    expect(page.get_by_text("Without JavaScript the table can be read")).to_be_visible()
    expect(cell(page, CLOSED)).to_be_visible()
    context.close()
