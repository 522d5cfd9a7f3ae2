"""Checks the links of Markdown pages: that the file is there, and the heading or the anchor in it. Fetches nothing."""

from __future__ import annotations

import functools
import html
import posixpath
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

from matrix.pages.words import slug

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from markdown_it.token import Token

_markdown = MarkdownIt("commonmark").enable("table")
_ID = re.compile(r"""<a\s+(?:id|name)=["']([^"']+)["']""")
_HREF = re.compile(r"""<(?:a|img)\s[^>]*(?:href|src)=["']([^"']+)["']""")


def relative(page: str, target: str) -> str:
    """Return the link from one page to a file, both as paths from the repository's root."""
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


def dead(pages: Mapping[str, str], root: Path) -> list[str]:
    """Return what is wrong with the pages' links, a line each; `pages` are texts by path from the root."""
    known = {page: set(anchors(text)) for page, text in pages.items()}
    found = []
    for page, text in pages.items():
        for link in dict.fromkeys(_links(text)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))
            target = page if not parts.path else target
            if target not in pages and not (root / target).exists():
                found.append(f"{page}: dead link {link}: there is no {target}")
            elif parts.fragment and not _is_there(parts.fragment, target, known, root):
                found.append(f"{page}: dead link {link}: nothing in {target} is called #{parts.fragment}")
    return found


def _is_there(fragment: str, target: str, known: Mapping[str, set[str]], root: Path) -> bool:
    if target in known:
        return fragment in known[target]
    path = root / target
    if target.endswith(".md"):
        return fragment in anchors(path.read_text(encoding="utf-8"))
    lines = re.fullmatch(r"L(\d+)", fragment)
    return lines is not None and path.is_file() and int(lines[1]) <= len(path.read_text(encoding="utf-8").splitlines())


def _links(text: str) -> Iterator[str]:
    for token in _tokens(text):
        if token.type == "link_open":
            yield str(token.attrs["href"])
        elif token.type == "image":
            yield str(token.attrs["src"])
        elif token.type in ("html_inline", "html_block"):
            yield from map(html.unescape, _HREF.findall(token.content))


def title(text: str) -> str:
    """Return a page's title as it stands there."""
    return next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")


def anchors(text: str) -> Iterator[str]:
    """Yield what links to a page may name after `#`: its headings, as GitHub names them, and its anchors."""
    seen: dict[str, int] = {}
    tokens = _parse(text)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            inline = tokens[index + 1]
            plain = "".join(c.content for c in inline.children or () if c.type in ("text", "code_inline"))
            name = slug(plain)
            number = seen.get(name, 0)
            seen[name] = number + 1
            yield f"{name}-{number}" if number else name
    for token in _tokens(text):
        if token.type in ("html_inline", "html_block"):
            yield from _ID.findall(token.content)


@functools.lru_cache(maxsize=256)
def _parse(text: str) -> list[Token]:
    return _markdown.parse(text)


def _tokens(text: str) -> Iterator[Token]:
    for token in _parse(text):
        yield token
        yield from token.children or ()
