"""Writes the source of the site, which Sphinx builds: the repository's pages, each at an address of its own.

The pages are those that the repository has, with three changes: long ones are split at their sections, so that a cause
or a stack under a launcher has an address; links to source code lead to a page with that code; and each section of the
site lists its pages. Nothing in there is written by hand.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from typing import TYPE_CHECKING

import msgspec

from matrix.pages import badge, data, links
from matrix.pages.check import hand_written
from matrix.pages.render import EXAMPLES, LAUNCHERS, PAGES, README, render, site_page
from matrix.pages.words import slug
from matrix.report.command import merge
from matrix.report.page import write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matrix.pages.facts import Facts

#: Pages whose sections become pages of their own, in a folder.
_SPLIT = {PAGES["reasons"]: "causes", PAGES["results"]: "results"}
#: The sections of the site, as its navigation calls them, and the pages of each, as Sphinx's globs.
_SECTIONS = {
    "symptoms": ("Error messages", ["errors/*"]),
    "choosing": ("Stacks", ["launchers/*"]),
    "drivers": ("Drivers", ["drivers/*"]),
    "contents": ("Hazards and fixes", ["examples/*"]),
    "explore": ("Explore", []),
    "results": ("Results", ["results/*"]),
    "reasons": ("Causes", ["causes/*"]),
    "reproductions/index": ("Reproductions", ["reproductions/*"]),
    "method": ("Method", []),
}
#: The section of all pages that are in no other.
_OTHERS = "method"
_FENCE = re.compile(r"^(`{3,})[^\n]*\n.*?^\1$", re.MULTILINE | re.DOTALL)
_MARKDOWN_LINK = re.compile(r"(\]\()([^)\s]+)(?=\))")
_HTML_LINK = re.compile(r"""((?:href|src)=")([^"]+)(?=")""")
_ANCHOR = re.compile(r"""<a id="([^"]+)"></a>""")
_HEADING_ANCHOR = re.compile(r"""^(#+ )<a id="([^"]+)"></a>""", re.MULTILINE)
_SECTION = re.compile(r"^## ", re.MULTILINE)
#: What a code block is marked with, by the ending of its file.
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".yml": "yaml", ".ini": "ini"}


def write_site(facts: Facts, folder: Path) -> int:
    """Write the source of the site into a folder, which is emptied first; return how many pages it has."""
    shutil.rmtree(folder, ignore_errors=True)
    rendered = render(facts)
    pages = _pages(facts, rendered)
    for place, text in pages.items():
        _write(folder / place, text)
    for name, text in _files(facts, rendered).items():
        _write(folder / name, text)
        _write(folder / "extra" / name, text)
    shutil.copytree(facts.root / "docs" / "site", folder, dirs_exist_ok=True)
    write_report(merge([facts.results]), facts.reasons, folder / "extra" / "report.html")
    return len(pages)


def _write(path: Path, text: str) -> None:
    """Write a file of the source, which is written again each time, so that nothing is lost if this is interrupted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _pages(facts: Facts, rendered: dict[str, str]) -> dict[str, str]:
    """Return the text of each page by its place in the site."""
    originals = {page: text for page, text in rendered.items() if page.endswith(".md")}
    originals |= hand_written(facts.root, originals)
    parts = {page: _parts(page, text) for page, text in originals.items()}
    places = {
        page: {anchor: place for place, part in own.items() for anchor in links.anchors(part)}
        for page, own in parts.items()
    }
    sources: set[str] = set()

    def target(page: str, place: str, address: str) -> str:
        """Return a link of a page as seen from its place in the site."""
        path, _, fragment = address.partition("#")
        if re.match(r"[a-z]+:", address):
            return address
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        if f"{wanted}/README.md" in originals:
            wanted = f"{wanted}/README.md"
        if wanted in originals:
            there = places[wanted].get(fragment, _place(wanted))
            named = f'<a id="{fragment}">' in originals[wanted]
            end = f"#{_anchor(wanted, fragment) if named else fragment}" if fragment else ""
        elif wanted in rendered or wanted.endswith(".svg"):
            there, end = wanted.removeprefix("docs/"), ""
        else:
            sources.add(wanted)
            there, end = f"source/{wanted}.md", ""
        return end if end and there == place else links.relative(place, there) + end

    found: dict[str, str] = {}
    for page, own in parts.items():
        for place, part in own.items():

            def moved(match: re.Match[str], page: str = page, place: str = place) -> str:
                return match[1] + target(page, place, match[2])

            found[place] = _outside_code(page, part, moved)
    for path in sorted(sources):
        found[f"source/{path}.md"] = _source(facts.root / path, path)
    found["drivers.md"] = site_page(facts, "site_drivers.md.j2")
    found["method.md"] = site_page(facts, "site_method.md.j2")
    found["data.md"] = site_page(facts, "site_data.md.j2", fields=data.fields())
    found["explore.md"] = site_page(facts, "site_explore.md.j2")
    for driver in facts.drivers:
        found[f"drivers/{driver}.md"] = _with_badge(found[f"drivers/{driver}.md"], driver)
    others = [place.removesuffix(".md") for place in sorted(found) if "/" not in place and place != "index.md"]
    for section, (_, globs) in _SECTIONS.items():
        below = globs or [name for name in others if name not in _SECTIONS and section == _OTHERS]
        found[f"{section}.md"] += _contents([f"/{glob}" for glob in below])
    for launcher in [page for page in originals if page.startswith(f"{LAUNCHERS}/")]:
        found[_place(launcher)] += _contents([f"/{_place(launcher).removesuffix('.md')}/*"])
    found["index.md"] += _contents([f"{title} </{section}>" for section, (title, _) in _SECTIONS.items()])
    return found


def _place(page: str) -> str:
    """Return where a page of the repository is in the site."""
    if page == README:
        return "index.md"
    if page == PAGES["index"]:
        return "contents.md"
    if page == PAGES["reproductions"]:
        return "reproductions/index.md"
    return page.lower().removeprefix("docs/").removesuffix("/readme.md").removesuffix(".md") + ".md"


def _parts(page: str, text: str) -> dict[str, str]:
    """Return a page's parts by their places: itself, or its beginning and each of its sections."""
    place = _place(page)
    folder = _SPLIT.get(page) or (place.removesuffix(".md") if page.startswith(f"{LAUNCHERS}/") else None)
    if folder is None:
        return {place: text}
    title = links.title(text)
    first, *sections = _SECTION.split(text)
    found, names = {}, []
    for section in sections:
        heading, _, body = section.partition("\n")
        name = match[1] if (match := _ANCHOR.match(heading)) else slug(heading)
        words = _ANCHOR.sub("", heading).strip()
        long = f"{title}: {words}" if page not in _SPLIT else words
        body = re.sub(r"^###", "##", body, flags=re.MULTILINE)
        found[f"{folder}/{name}.md"] = f'# <a id="{name}"></a>{long}\n{body}'
        names.append(f"* [{words}](#{name})")
    return {place: first + "\n".join(names) + "\n", **found}


def _anchor(page: str, name: str) -> str:
    """Return an anchor as the site has it: Sphinx wants one name once, and some pages share theirs."""
    return (
        f"{_place(page).removesuffix('.md').rpartition('/')[2]}-{name}"
        if page.startswith((f"{LAUNCHERS}/", f"{EXAMPLES}/"))
        else name
    )


def _outside_code(page: str, text: str, moved: Callable[[re.Match[str]], str]) -> str:
    """Return a page with its links changed and its anchors as Sphinx knows them; code stays as it is."""
    parts, last = [], 0
    for match in [*_FENCE.finditer(text), None]:
        prose = text[last : match.start()] if match else text[last:]
        prose = _MARKDOWN_LINK.sub(moved, prose)
        prose = _HTML_LINK.sub(moved, prose)
        prose = _HEADING_ANCHOR.sub(lambda found: f"{{#{_anchor(page, found[2])}}}\n{found[1]}", prose)
        prose = _ANCHOR.sub(lambda found: f"[]{{#{_anchor(page, found[1])}}}", prose)
        parts += [prose, match[0] if match else ""]
        last = match.end() if match else last
    return "".join(parts)


def _source(path: Path, name: str) -> str:
    """Return the page of a source file, or of a folder's files."""
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.is_file())
        body = "\n".join(f"* `{one}`" for one in inside)
    else:
        text = path.read_text(encoding="utf-8")
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        body = f"{fence}{_LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n{fence}"
    return f"---\norphan: true\n---\n\n# {name.replace('_', chr(92) + '_')}\n\n{body}\n"


def _with_badge(text: str, driver: str) -> str:
    """Return a driver's page with its badge below the title."""
    image = f"![What a fork does to {driver}](../badges/{driver}.svg)"
    return re.sub(r"^(# .*\n)", lambda match: f"{match[1]}\n{image}\n", text, count=1, flags=re.MULTILINE)


def _contents(globs: list[str]) -> str:
    """Return the part of a page that says which pages are below it; the navigation is made from that."""
    lines = "\n".join(globs)
    return f"\n```{{toctree}}\n:hidden:\n:glob:\n:maxdepth: 1\n\n{lines}\n```\n"


def _files(facts: Facts, rendered: dict[str, str]) -> dict[str, str]:
    """Return what the site has besides pages: data, its schema, and the badges."""
    found = {
        "data/results.json": msgspec.json.format(msgspec.json.encode(data.collect(facts)), indent=0).decode() + "\n",
        "data/schema.json": msgspec.json.format(msgspec.json.encode(data.schema()), indent=2).decode() + "\n",
    }
    found |= {f"badges/{driver}.svg": badge.draw(facts, driver) for driver in facts.drivers}
    found |= {page.removeprefix("docs/"): text for page, text in rendered.items() if not page.endswith(".md")}
    found |= {path.name: path.read_text(encoding="utf-8") for path in sorted((facts.root / "docs").glob("*.svg"))}
    return found
