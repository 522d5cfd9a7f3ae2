"""Finds stacks, examples, drivers and cells on disk; only the three stacks' folders are a list kept by hand."""

from __future__ import annotations

import ast
import difflib
import functools
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jsonschema

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.servers import Server

ROOT = Path(__file__).resolve().parents[2]
#: The stacks and their folders, in the order in which tables show them.
STACKS = {"bare": "drivers", "django": "django_examples", "sqlalchemy": "sqlalchemy_examples"}
TRANSPORTS = ("tcp", "tls", "unix")
#: Modules in the example folders that are no examples.
_NOT_EXAMPLES = {"__init__", "helper", "settings", "models"}

_DRIVER_SCHEMA = {
    "type": "object",
    "required": ["distribution", "import_name", "servers", "schemes", "urls"],
    "additionalProperties": False,
    "properties": {
        "requires": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "distribution": {"type": "string"},
        "import_name": {"type": "string"},
        "servers": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "schemes": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "urls": {
            "type": "object",
            "required": list(TRANSPORTS),
            "additionalProperties": False,
            "properties": {name: {"type": "string"} for name in TRANSPORTS},
        },
        "client_library": {"type": "string"},
        "build": {"type": "object"},
        "page": {"type": "object"},
    },
}


@dataclass(frozen=True)
class Driver:
    """A driver's facts, from `drivers/<name>/driver.toml`.

    `client_library` is Python that prints the name and version of the C library underneath, None where there is none.
    """

    name: str
    distribution: str
    import_name: str
    servers: tuple[str, ...]
    urls: dict[str, str]
    client_library: str | None
    page: dict[str, Any]

    def url(self, server: Server, transport: str, database: str) -> str:
        """Return the DATABASE_URL of a database on a running server."""
        values = {
            "user": server.user,
            "password": server.password,
            "host": server.host,
            "port": str(server.port),
            "database": database,
            "socket": server.socket or "",
            "ca": server.ca or "",
        }
        return self.urls[transport].format_map({name: quote(value, safe="") for name, value in values.items()})


@dataclass(frozen=True)
class Example:
    """An example in one stack: the module and what its docstring says of it.

    `kind` is `hazard` or `remedy`; `counterparts` are the remedies of a hazard, or the hazards of a remedy;
    `drivers` are the only drivers it has a meaning for, None for all. `problem` says what its docstring lacks.
    """

    stack: str
    name: str
    title: str
    body: str
    kind: str
    counterparts: tuple[str, ...]
    drivers: tuple[str, ...] | None
    problem: str | None = None

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"{STACKS[self.stack]}.{self.name}"

    @property
    def path(self) -> Path:
        """The file, from the repository's root."""
        return Path(STACKS[self.stack]) / f"{self.name}.py"


@dataclass(frozen=True)
class Cell:
    """One experiment: an example of a stack, with one driver, against one server, over one transport."""

    stack: str
    example: str
    driver: str
    server: str
    transport: str

    @property
    def id(self) -> str:
        """`<stack>/<example>/<driver>/<server>/<transport>`."""
        return f"{self.stack}/{self.example}/{self.driver}/{self.server}/{self.transport}"

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"{STACKS[self.stack]}.{self.example}"


@functools.cache
def drivers(root: Path = ROOT) -> dict[str, Driver]:
    """Return every driver that has a folder, by name; raise MatrixError where its facts are malformed."""
    found = {}
    for path in sorted((root / "drivers").glob("*/driver.toml")):
        facts = read_toml(path, _DRIVER_SCHEMA)
        found[path.parent.name] = Driver(
            name=path.parent.name,
            distribution=facts["distribution"],
            import_name=facts["import_name"],
            servers=tuple(facts["servers"]),
            urls=facts["urls"],
            client_library=facts.get("client_library"),
            page=facts.get("page", {}),
        )
    return found


@functools.cache
def examples(root: Path = ROOT) -> dict[tuple[str, str], Example]:
    """Return every example by stack and name."""
    found = {}
    for stack, folder in STACKS.items():
        for path in sorted((root / folder).glob("*.py")):
            if path.stem not in _NOT_EXAMPLES and not path.stem.startswith("_"):
                found[stack, path.stem] = _example(stack, path, root)
    return found


def _example(stack: str, path: Path, root: Path) -> Example:
    where = path.relative_to(root)
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    title, _, body = docstring.partition("\n\n")
    kind = re.search(r"^(Hazard|Remedy)\.", body, re.MULTILINE)
    fields = {name: _names(body, name) for name in ("Remedies", "Remedy for", "Drivers")}
    only = fields["Drivers"]
    problem = None
    if not title.strip() or kind is None:
        problem = (
            "the docstring must open with one sentence and have a paragraph that begins with `Hazard.` or `Remedy.`"
        )
    elif unknown := set(only) - set(drivers(root)):
        problem = f"unknown driver {', '.join(sorted(unknown))}; there are {', '.join(drivers(root))}"
    prose = re.sub(r"^(Remedies|Remedy for|Drivers):[^\n]*(?:\n(?!\n)[^\n]+)*$", "", body, flags=re.MULTILINE)
    return Example(
        stack=stack,
        name=path.stem,
        title=" ".join(title.split()),
        body=prose.strip(),
        kind=kind[1].lower() if kind else "",
        counterparts=tuple(fields["Remedies"] or fields["Remedy for"]),
        drivers=tuple(only) or None,
        problem=f"{where}: {problem}" if problem else None,
    )


def _names(body: str, field: str) -> list[str]:
    match = re.search(rf"^{field}: *((?:.+\n?)+?)(?=\n|\Z)", body, re.MULTILINE)
    return [name.strip(" .`\n") for name in match[1].split(",") if name.strip(" .`\n")] if match else []


@functools.cache
def cells(root: Path = ROOT) -> tuple[Cell, ...]:
    """Return every cell, in the order of the tables: by stack, example, driver, server and transport."""
    return tuple(
        Cell(stack, name, driver.name, server, transport)
        for (stack, name), example in examples(root).items()
        for driver in drivers(root).values()
        if example.drivers is None or driver.name in example.drivers
        for server in driver.servers
        for transport in TRANSPORTS
    )


def select(globs: Sequence[str], among: Iterable[Cell]) -> list[Cell]:
    """Return the cells whose id matches one of the globs, all of them where there are none.

    A glob with fewer than five parts matches as if the missing parts were `*`. Raises MatrixError for a glob that
    matches no cell, with what comes nearest.
    """
    among = list(among)
    if not globs:
        return among
    chosen: set[Cell] = set()
    for glob in globs:
        parts = glob.split("/")
        if len(parts) > 5:
            raise MatrixError(f"--only {glob!r}: a cell id has five parts, {'/'.join(_PARTS)}")
        pattern = parts + ["*"] * (5 - len(parts))
        matching = {cell for cell in among if all(map(fnmatchcase, cell.id.split("/"), pattern))}
        if not matching:
            raise MatrixError(f"--only {glob!r} matches no cell. {_nearest(pattern, among)}")
        chosen |= matching
    return [cell for cell in among if cell in chosen]


_PARTS = ("<stack>", "<example>", "<driver>", "<server>", "<transport>")


def _nearest(pattern: Sequence[str], among: Sequence[Cell]) -> str:
    """Say which part of a pattern matches nothing, and what it could have been."""
    for index, part in enumerate(pattern):
        values = list(dict.fromkeys(cell.id.split("/")[index] for cell in among))
        if not any(fnmatchcase(value, part) for value in values):
            near = difflib.get_close_matches(part, values, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            return f"No {_PARTS[index].strip('<>')} is called {part!r}{hint} There are: {', '.join(values)}"
    return "Each of its parts exists, but not together; --list shows the cells"


def read_toml(path: Path, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a TOML file's data; raise MatrixError, with file and line, where it does not fit the schema."""
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise MatrixError(f"{where}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MatrixError(f"{where}: not TOML: {error}") from None
    problem = next(iter(jsonschema.Draft202012Validator(schema).iter_errors(data)), None)
    if problem is not None:
        place = [str(part) for part in problem.absolute_path]
        line = line_of(text, place[0] if place else "")
        raise MatrixError(f"{where}, line {line}: {'.'.join(place) + ': ' if place else ''}{problem.message}")
    return data


def line_of(text: str, name: str) -> int:
    """Return the line of a TOML text on which a table or key of this name stands, 1 where there is none."""
    pattern = re.compile(rf'^\[*\s*"?{re.escape(name)}"?[\].\s=]')
    return next((number for number, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)
