"""Makes every page from what is known. The same facts make the same pages, byte for byte."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from matrix.catalogue import STACKS, TRANSPORTS
from matrix.errors import MatrixError
from matrix.pages import content, rows, tables
from matrix.pages.facts import GOOD, STACK_TITLES, describe, outcomes
from matrix.pages.links import relative
from matrix.records.outcomes import OUTCOMES

if TYPE_CHECKING:
    from collections.abc import Callable

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
}
README = "README.md"
EXAMPLES = "docs/examples"
_FRAGMENT = re.compile(r"(<!-- begin: (\w+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
#: Names of transports in sentences.
TRANSPORT_TITLES = {"tcp": "TCP without TLS", "tls": "TLS", "unix": "a Unix socket"}
MOVERS = {
    "you": "yours: the program that forks",
    "driver": "the driver's",
    "orm": "the ORM's",
    "server": "the server's",
    "nobody": "nobody's",
}


#: What templates may call: what there is to say, and the rows of tables.
_CONTENT: tuple[Callable[..., Any], ...] = (
    content.legend,
    content.findings,
    content.article,
    content.all_symptoms,
    content.versions,
    content.folklore,
    content.reason_cells,
)
_ROWS: tuple[Callable[..., Any], ...] = (
    rows.claim_rows,
    rows.symptom_rows,
    rows.message_rows,
    rows.choice_rows,
    rows.cell_rows,
    rows.tls_rows,
)


def render(facts: Facts) -> dict[str, str]:
    """Return every generated page's text by its path from the root, README.md with its fragments among them.

    Raises MatrixError where README.md is missing or lacks a fragment's place.
    """
    pages = {PAGES[name]: _page(facts, PAGES[name], f"{name}.md.j2") for name in PAGES}
    for driver in facts.drivers:
        path = f"drivers/{driver}/README.md"
        pages[path] = _page(facts, path, "driver.md.j2", **content.about_driver(facts, driver))
    for name in sorted({name for _, name in facts.examples}):
        path = f"{EXAMPLES}/{name}.md"
        pages[path] = _page(facts, path, "example.md.j2", **content.about_example(facts, name))
    pages[README] = _readme(facts)
    return dict(sorted(pages.items()))


def address(facts: Facts, name: str) -> str:
    """Return the path of the page of a driver, an example, a cell's id or one of PAGES; of a cell with its anchor."""
    if name in PAGES:
        return PAGES[name]
    if name in facts.drivers:
        return f"drivers/{name}/README.md"
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
    if not _FRAGMENT.search(text):
        raise MatrixError(f"{README}: has no place for a table: <!-- begin: table --> and <!-- end: table -->")
    known = {path.name.removeprefix("readme_").partition(".")[0] for path in TEMPLATES.glob("readme_*.md.j2")}

    def fill(match: re.Match[str]) -> str:
        if match[2] not in known:
            raise MatrixError(f"{README}: nothing is called {match[2]!r}; there are {', '.join(sorted(known))}")
        body = _page(facts, README, f"readme_{match[2]}.md.j2").strip()
        return f"{match[1]}{body}\n{match[3]}"

    return _FRAGMENT.sub(fill, text)


def _page(facts: Facts, page: str, template: str, **more: Any) -> str:
    def link(name: str) -> str:
        return relative(page, address(facts, name))

    text = (
        _environment()
        .get_template(template)
        .render(
            facts=facts,
            page=page,
            link=link,
            file=lambda path: relative(page, str(path)),
            summary=lambda names: tables.summary(facts, names, link),
            by_transport=functools.partial(tables.by_transport, facts, link=link),
            here=functools.partial(_here, facts, page),
            **{function.__name__: functools.partial(function, facts) for function in _CONTENT},
            **{function.__name__: functools.partial(function, facts, link) for function in _ROWS},
            **more,
        )
    )
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
        autoescape=False,  # pages are Markdown; what comes from messages goes through `code` or `cell`
    )
    environment.filters |= {"code": tables.code, "cell": tables.escape}
    environment.globals |= {
        "stack_titles": STACK_TITLES,
        "transport_titles": TRANSPORT_TITLES,
        "transports": TRANSPORTS,
        "stacks": STACKS,
        "outcomes": OUTCOMES,
        "good": GOOD,
        "movers": MOVERS,
        "marked": tables.marked,
        "describe": describe,
        "table": tables.table,
        "by_outcome": outcomes,
    }
    return environment


def _here(facts: Facts, page: str, text: str) -> str:
    """Return prose for a page: an example's name, written as code, becomes a link to it.

    Links in prose are written as seen from docs/, and made to fit the page.
    """
    names = {name for _, name in facts.examples}

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
