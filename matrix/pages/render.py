"""Makes every page from what is known. The same facts make the same pages, byte for byte."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from matrix.catalogue import STACK_TITLES, STACKS
from matrix.catalogue.launchers import launchers
from matrix.catalogue.pattern import pattern
from matrix.catalogue.reproductions import FOLDER as REPRODUCTIONS
from matrix.catalogue.reproductions import reproductions
from matrix.errors import MatrixError
from matrix.pages import compat, content, costs, crossed, errors, explain, launcher_pages, servers, tables, words
from matrix.pages.facts import by_example
from matrix.pages.launched import answers
from matrix.pages.links import relative
from matrix.pages.statements import listed
from matrix.records import reproductions as reproduced
from matrix.records.outcomes import OUTCOMES, by_outcome
from matrix.report.table import FIX_IN, code, describe, marked, plain

if TYPE_CHECKING:
    from matrix.pages.facts import Facts

TEMPLATES = Path(__file__).parent / "templates"
#: Pages about everything, by what templates call them.
PAGES = {
    "index": "docs/README.md",
    "results": "docs/results.md",
    "symptoms": "docs/symptoms.md",
    "choosing": "docs/choosing.md",
    "article": "docs/article.md",
    "reasons": "docs/reasons.md",
    "glossary": "docs/glossary.md",
    "caveats": "docs/caveats.md",
    "costs": "docs/costs.md",
    "servers": "docs/servers.md",
    "reproductions": f"{REPRODUCTIONS}/README.md",
}
README = "README.md"
EXAMPLES = "docs/examples"
ERRORS = "docs/errors"
LAUNCHERS = "docs/launchers"
_FRAGMENT = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)


class _Page:
    """What templates call that depends on the page: links, and tables with links."""

    def __init__(self, facts: Facts, page: str) -> None:
        self._facts, self._page = facts, page
        self.here = functools.partial(_here, facts, page)

    def link(self, name: str) -> str:
        """Return the address of the page of a driver, an example, a cell's id or one of PAGES."""
        return relative(self._page, address(self._facts, name))

    def file(self, path: object) -> str:
        """Return the address of a file, given from the repository's root."""
        return relative(self._page, str(path))

    def examples(self, names: list[str]) -> str:
        """Return examples' names with links."""
        return tables.examples(self.link, names)

    def summary(self, names: list[str]) -> str:
        """Return a table of examples by drivers."""
        return tables.summary(self._facts, self.link, names)

    def fix(self, name: str, driver: str) -> str:
        """Return what a remedy did with a driver as a cell of a table."""
        return tables.fix(self._facts, name, driver)

    def fixes(self, names: list[str]) -> str:
        """Return a table of remedies by drivers, which says of a remedy that fails that it is none."""
        return tables.fixes(self._facts, self.link, names)

    def crossed(self, name: str, stack: str) -> str:
        """Return a table of what a hazard does with each remedy in place, or each hazard with a remedy."""
        return crossed.table(self._facts, self.link, name, stack)

    def by_transport(self, name: str, *, anchors: bool = False) -> str:
        """Return an example's cells as a table."""
        return tables.by_transport(self._facts, self.link, name, anchors=anchors)


def render(facts: Facts) -> dict[str, str]:
    """Return every generated page's text by its path from the root, README.md with its fragments among them.

    Raises MatrixError if README.md is missing or lacks the place of a fragment.
    """
    known, scripts = errors.every_page(facts), reproductions(facts.root).values()
    more: dict[str, dict[str, object]] = {"symptoms": {"known": known}, "reproductions": {"scripts": scripts}}
    pages = {path: _page(facts, path, f"{name}.md.j2", **more.get(name, {})) for name, path in PAGES.items()}
    for script in scripts:
        path = f"{REPRODUCTIONS}/{script.name}.md"
        ran = reproduced.read(facts.results, script.name)
        pages[path] = _page(facts, path, "reproduction.md.j2", script=script, ran=ran)
    for driver in facts.drivers:
        path = address(facts, driver)
        pages[path] = _page(facts, path, "driver.md.j2", name=driver, driver=facts.drivers[driver])
    for name in facts.names():
        path = address(facts, name)
        pages[path] = _page(facts, path, "example.md.j2", name=name, example=facts.example(name))
    for name in launchers(facts.root):
        pages[address(facts, name)] = launcher_page(facts, name)
    for one in known:
        pages[one.symptom.page] = _page(facts, one.symptom.page, "error.md.j2", one=one)
    pages[compat.PAGE] = compat.page(facts)
    pages[README] = _readme(facts)
    return dict(sorted(pages.items()))


def launcher_page(facts: Facts, name: str) -> str:
    """Return the text of a launcher's page."""
    return _page(facts, address(facts, name), "launcher.md.j2", launcher=launchers(facts.root)[name])


def address(facts: Facts, name: str) -> str:
    """Return the path of the page of a driver, an example, a cell's id or one of PAGES; of a cell with its anchor."""
    if name in PAGES:
        return PAGES[name]
    if name in facts.drivers:
        return f"drivers/{name}/README.md"
    if name in launchers(facts.root):
        return f"{LAUNCHERS}/{name}.md"
    if name.count("/") == 4:
        stack, example, driver, server, _ = name.split("/")
        return f"{EXAMPLES}/{example}.md#{tables.anchor(stack, driver, server)}"
    return f"{EXAMPLES}/{name}.md"


def _readme(facts: Facts) -> str:
    path = facts.root / README
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MatrixError(f"{README}: {error.strerror}") from None
    known = {path.name.removeprefix("readme_").partition(".")[0] for path in TEMPLATES.glob("readme_*.md.j2")}
    if missing := known - {match[2] for match in _FRAGMENT.finditer(text)}:
        name = min(missing)
        raise MatrixError(f"{README}: has no place for {name}: lines <!-- begin: {name} --> and <!-- end: {name} -->")

    def fill(match: re.Match[str]) -> str:
        if match[2] not in known:
            raise MatrixError(f"{README}: nothing is called {match[2]!r}; there are {', '.join(sorted(known))}")
        body = _page(facts, README, f"readme_{match[2]}.md.j2").strip()
        return f"{match[1]}{body}\n{match[3]}"

    return _FRAGMENT.sub(fill, text)


def site_page(facts: Facts, template: str, **more: object) -> str:
    """Return a page that only the site has, at its root; its links are those of the site."""
    return _page(facts, "docs/README.md", template, **more)


def svg(template: str, **more: object) -> str:
    """Return a picture."""
    return _environment().get_template(template).render(**more)


def _page(facts: Facts, page: str, template: str, **more: object) -> str:
    text = _environment().get_template(template).render(facts=facts, page=_Page(facts, page), **more)
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [re.sub(r"\n{3,}", "\n\n", part) for part in parts[::2]]  # templates leave gaps; code keeps its own
    return re.sub(r"\n{3,}```", "\n\n```", "".join(parts)).strip() + "\n"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # pages are Markdown; what comes from records goes through `plain` or `code`
    )
    environment.filters |= {
        "code": code,
        "plain": plain,
        "cell": tables.escape,
        "listed": listed,
        "lower_first": words.lower_first,
    }
    environment.globals |= {
        "stack_titles": STACK_TITLES,
        "stacks": STACKS,
        "outcomes": OUTCOMES,
        "fix_in": FIX_IN,
        "marked": marked,
        "describe": describe,
        "by_example": by_example,
        "by_outcome": by_outcome,
        "pattern": pattern,
        "content": content,
        "compat": compat,
        "crossed": crossed,
        "launched": launcher_pages,
        "every_answer": answers,
        "figures": costs,
        "errors": errors,
        "other_servers": servers,
        "answer_lines": explain.verdict_lines,
        "drivers_code": errors.drivers_code,
    }
    return environment


def _here(facts: Facts, page: str, text: str) -> str:
    """Return prose for a page: an example's name, written as code, becomes a link to it.

    Links in prose are written as seen from docs/, and made to fit the page.
    """
    names = set(facts.names())

    def linked(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`]({relative(page, address(facts, name))})" if name in names else match[0]

    def moved(match: re.Match[str]) -> str:
        target = match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        return f"{match[1]}{relative(page, f'docs/{target}')})"

    text = re.sub(r"(\]\()([^)\s]+)\)", moved, text)
    return re.sub(r"(?<![\[`])`(\w+)`(?![\]`])", linked, text)
