"""Reads what a person pasted: one message, a traceback, or megabytes of log.

Says which exceptions are in it, and which driver, ORM, launcher and protocol it names. Everything that it looks for
stands in `docs/prose/clues.toml`. It takes any text and any bytes, never raises, and needs time in proportion to the
length.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import msgspec

from matrix.records.reading import ROOT, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matrix.records.facts import DriverFacts

CLUES = ROOT / "docs" / "prose" / "clues.toml"
#: A text of up to so many lines and characters is looked at whole. Of a longer one the lines that may be about a
#: database are, up to as many that differ in more than numbers.
LINES, CHARACTERS = 400, 60_000
#: Longer lines are cut into pieces of this length.
WIDTH = 1000

_ESCAPED = re.compile(r'\\n\s*File \\*"')
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WHOLE = re.compile(rf"[^\n]{{4,{WIDTH}}}")
_NUMBER = re.compile(r"\d+")
#: Before which a line of a frame names the module: .../site-packages/, an egg, the standard library.
_INSTALLED = re.compile(r"(?:-packages|\.egg|python\d(?:\.\d+)?)/")
#: A file of Python in a traceback of Python, IPython, pytest or Sentry, and the function if it follows.
_FRAME = re.compile(
    r"(?<![^\s\"'(])(?P<path>[^\s\"'(),{}]{1,300}\.pyx?)\"?(?:, line \d+|:\d+)?(?:,? in (?P<function>[\w<>.]+))?"
)
_CLASS = r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*"
_RAISED = re.compile(
    r"(?<![\w./])(?P<kind>(?:[A-Za-z_]\w*\.)+[A-Z]\w*|[A-Z]\w*(?:Error|Exception|Timeout|Interrupt|Failed))"
    r"(?:: ?(?P<text>.*)|\((?P<repr>['\"(].*)|\s*$| (?=\())(?P<rest>.*)"
)
#: SQLAlchemy's `(psycopg2.OperationalError) server closed ...`: the driver's exception in the message of its own.
_WRAPPED = re.compile(rf"\((?:<class ')?(?P<kind>{_CLASS})(?:'>)?\) ?(?P<text>.*)")
_DOTTED = re.compile(r"(?<![\w./\\-])(?P<name>[A-Za-z_]\w*\.[A-Za-z_][\w.]*)")
_TRACEBACK = "Traceback (most recent call last)"
#: What a line of a long log must have to be looked at: cheap, and wider than any pattern of the tables.
_RELEVANT = re.compile(
    r"Error|Exception|Traceback|File \"|-packages/|SSL |ssl |libpq|PGRES|FATAL|MySQL|mysql|psycopg|asyncpg|ORA-|acket"
    r"|ignal |SIG|ommands out|StopIteration|cursor|onnection|Worker|insufficient data|synchronization|statement \""
    r"|QueuePool|does not return rows|results to fetch"
)
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


class Raised(msgspec.Struct, frozen=True):
    """An exception in the text. `kind` is its class as printed, `traceback` counts the tracebacks before it.

    `frames` are the frames above it, the outermost first: `psycopg2/extras.py execute_values`.
    """

    kind: str
    message: str
    traceback: int = 0
    frames: tuple[str, ...] = ()


class Clue(msgspec.Struct, frozen=True):
    """What the text names, by which of its words, and whether that is certain (a module) or only likely (a message)."""

    name: str
    by: str
    certain: bool


class Line(msgspec.Struct, frozen=True):
    """A line that was kept: as it is, in lower case, and how many tracebacks came before its own.

    Tracebacks that are chained are one.
    """

    text: str
    lower: str
    traceback: int

    def search(self, pattern: re.Pattern[str]) -> str | None:
        """Return the words that a pattern in lower case finds."""
        match = pattern.search(self.lower)
        return self.text[slice(*match.span())].strip() if match else None


class Reading(msgspec.Struct, frozen=True):
    """What was read in a text.

    `exceptions` are in the order of the text: the cause before what it caused. `connecting` says that the first one was
    raised while a connection was opened. `forks` is how the launcher makes its workers, if that is another launcher's
    way. `lines` and `frames` are what the causes are judged by.
    """

    exceptions: tuple[Raised, ...] = ()
    driver: Clue | None = None
    orm: Clue | None = None
    launcher: Clue | None = None
    protocol: Clue | None = None
    connecting: Clue | None = None
    forks: str | None = None
    lines: tuple[Line, ...] = ()
    frames: tuple[str, ...] = ()


class _Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    modules: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    protocol: str | None = None
    like: str | None = None
    forks: str | None = None


class _Connecting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    frames: tuple[str, ...]
    texts: tuple[str, ...]


class _Clues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    driver: dict[str, _Named]
    protocol: dict[str, _Named]
    orm: dict[str, _Named]
    launcher: dict[str, _Named]
    connecting: _Connecting


class _Table:
    """One kind of clue: which module and which message name what."""

    def __init__(self, named: Mapping[str, _Named]) -> None:
        self.order = {name: place for place, name in enumerate(named)}
        self.modules = {module: name for name, one in named.items() for module in one.modules}
        self.forks = {name: one.forks for name, one in named.items()}
        self.texts = [(name, _any(one.texts)) for name, one in named.items() if one.texts]

    def find(self, modules: Mapping[str, str], lines: Iterable[Line]) -> Clue | None:
        """Return what modules name; else what messages make likely; of several the first of the table.

        A likely one that forks by means of the certain one is the more exact.
        """
        certain = [(self.modules[module], by) for module, by in modules.items() if module in self.modules]
        best = min(certain, key=lambda found: self.order[found[0]], default=None)
        for name, pattern in self.texts:
            if best is None or self.forks[name] == best[0]:
                for line in lines:
                    if (words := line.search(pattern)) is not None:
                        return Clue(name, words, certain=False)
        return Clue(*best, certain=True) if best else None


@functools.cache
def _clues() -> _Clues:
    return read_toml(CLUES, _Clues)


@functools.cache
def _table(kind: str) -> _Table:
    return _Table(getattr(_clues(), kind))


@functools.cache
def _connecting() -> tuple[re.Pattern[str], re.Pattern[str]]:
    clues = _clues().connecting
    return re.compile("|".join(f"(?:^|/)(?:{frame})$" for frame in clues.frames)), _any(clues.texts)


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))


def read(pasted: str | bytes, drivers: Mapping[str, DriverFacts] | None = None) -> Reading:
    """Return what a text says. `drivers` are those that are run, by name: they are known by their module."""
    drivers = drivers or {}
    lines = list(_lines(_text(pasted)))
    exceptions, frames = _exceptions(lines)
    modules = _modules(lines, frames)
    driver, launcher = _driver(modules, lines, drivers), _table("launcher").find(modules, lines)
    return Reading(
        exceptions=exceptions,
        driver=driver,
        orm=_table("orm").find(modules, lines) or _no_orm(exceptions, driver, drivers),
        launcher=launcher,
        protocol=_protocol(driver, modules, lines, drivers),
        connecting=_opened(exceptions, frames, lines),
        forks=_clues().launcher[launcher.name].forks if launcher else None,
        lines=tuple(lines),
        frames=frames,
    )


def known_driver(name: str, drivers: Mapping[str, DriverFacts]) -> str | None:
    """Return the name of the driver, of those that are run, that goes by some name, module or distribution."""
    wanted = plain(name)
    for known, facts in drivers.items():
        if wanted in map(plain, (known, facts.module, *facts.distributions)):
            return known
    modules = _clues().driver.get(name, _Named()).modules
    return next((known for known, facts in drivers.items() if facts.module in modules), None)


def known(kind: str, name: str) -> str | None:
    """Return what the table calls a driver, an ORM or a launcher that goes by some name or module."""
    wanted = plain(name)
    for found, one in getattr(_clues(), kind).items():
        if wanted in map(plain, (found, *one.modules)):
            return str(found)
    return None


def forks_like(launcher: str) -> str | None:
    """Return the launcher whose way of forking another one shares, None if the table does not say."""
    return next((one.forks for name, one in _clues().launcher.items() if plain(name) == plain(launcher)), None)


def protocol_of(driver: str) -> str | None:
    """Return the protocol of a driver that the table knows."""
    return _clues().driver.get(driver, _Named()).protocol


def plain(name: str) -> str:
    """Return a name in small letters, with `-` between its parts."""
    return re.sub(r"[-_. ]+", "-", name.lower())


def nearest(driver: str, protocol: str | None, ran: Mapping[str, str]) -> str | None:
    """Return the driver whose answer fits this one best, of those that were run; never one of another protocol.

    `ran` says which protocol each of them speaks; `protocol` is what was read, for a driver that the table lacks.
    """
    if driver in ran:
        return driver
    known = _clues().driver.get(driver, _Named(protocol=protocol))
    if known.like in ran:
        return known.like
    return next((name for name, spoken in ran.items() if spoken == known.protocol), None)


def _text(pasted: str | bytes) -> str:
    """Return a text that can be printed, whatever came: other encodings, NULs, colours, tracebacks quoted in JSON."""
    if isinstance(pasted, bytes):
        wide = pasted[:2] in (b"\xff\xfe", b"\xfe\xff")
        pasted = pasted.decode("utf-16" if wide else "utf-8", errors="replace")
    text = pasted.replace("\0", "").encode("utf-8", "replace").decode("utf-8").replace("\r", "\n")
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if _ESCAPED.search(text):
        text = text.replace("\\n", "\n").replace('\\"', '"')
    return text


def _lines(text: str) -> Iterator[Line]:
    """Yield the lines to look at."""
    whole = len(text) <= CHARACTERS and text.count("\n") <= LINES
    traceback, chained, started, left = 0, False, False, CHARACTERS
    seen: set[str] = set()
    for line in _WHOLE.findall(text) if whole else _relevant(text):
        if _TRACEBACK in line:
            traceback += started and not chained
            chained, started = False, True
        elif line in seen:
            continue
        elif "above exception" in line:
            chained = True
        if line in seen or (not whole and (key := _NUMBER.sub("0", line)) in seen):
            continue
        seen |= {line} if whole else {line, key}
        left -= len(line)
        if not whole and (len(seen) > 2 * LINES or left < 0):
            return
        yield Line(line.rstrip(), line.translate(_LOWER), traceback)


def _relevant(text: str) -> Iterator[str]:
    """Yield the lines of a long text that may be about a database; of a long line, what is around the words."""
    end = 0
    while match := _RELEVANT.search(text, end):
        start = max(end, match.start() - WIDTH)
        start = max(start, text.rfind("\n", start, match.start()) + 1)
        end = text.find("\n", match.end(), match.end() + WIDTH)
        if end < 0:
            end = min(match.end() + WIDTH, len(text))
        yield text[start:end]


def _exceptions(lines: Iterable[Line]) -> tuple[tuple[Raised, ...], tuple[str, ...]]:
    """Return the exceptions in the order of the text, and every frame."""
    raised: dict[tuple[str, str], Raised] = {}
    frames: list[str] = []
    above: list[str] = []
    for line in lines:
        found = [_frame(match) for match in _FRAME.finditer(line.text)] if ".py" in line.text else []
        if found:
            above += found
            frames += found
        # A frame's line can end with the exception (pytest); its code never begins with a class.
        for kind, message in _raised(line.text):
            raised.setdefault((kind, message), Raised(kind, message, line.traceback, tuple(above)))
        if _TRACEBACK in line.text or "above exception" in line.text:
            above = []
    return tuple(raised.values()), tuple(dict.fromkeys(frames))


def _frame(match: re.Match[str]) -> str:
    path = match["path"].replace("\\", "/")
    path = _INSTALLED.split(path)[-1]
    return f"{path.lstrip('./~')} {match['function'] or ''}".rstrip()


def _raised(line: str) -> Iterator[tuple[str, str]]:
    """Yield the exceptions that a line prints, one that another one wraps first."""
    if (match := _RAISED.search(line)) and not match["kind"].endswith((".py", ".pyx")):
        message = " ".join((match["text"] or match["repr"] or match["rest"] or "").split())
        wrapped = _WRAPPED.match(message)
        if wrapped:
            yield wrapped["kind"], wrapped["text"].strip()
        yield match["kind"], message
    elif (match := _WRAPPED.search(line)) and match["kind"].endswith(("Error", "Exception")):
        yield match["kind"], match["text"].strip()


def _modules(lines: Iterable[Line], frames: Iterable[str]) -> dict[str, str]:
    """Return the packages that frames and classes name, each with the words that name it."""
    found: dict[str, str] = {}
    for frame in frames:
        parts = frame.partition(" ")[0].removesuffix(".py").removesuffix(".pyx").split("/")
        for length in (1, 2, 3):
            found.setdefault(".".join(parts[:length]), frame)
        found.setdefault(parts[-1], frame)  # sqlalchemy/dialects/postgresql/psycopg2.py
    for line in lines:
        for match in _DOTTED.finditer(line.text):
            parts = match["name"].split(".")
            for length in (1, 2):
                found.setdefault(".".join(parts[:length]), match["name"])
            for part in parts[1:-1]:  # sqlalchemy.dialects.postgresql.asyncpg.Error
                found.setdefault(part, match["name"])
    return found


def _driver(modules: Mapping[str, str], lines: Iterable[Line], drivers: Mapping[str, DriverFacts]) -> Clue | None:
    """Return the driver that modules name, else the one that messages make likely."""
    found = _table("driver").find(modules, lines)
    if found is None or not found.certain:
        for name, facts in drivers.items():
            if facts.module in modules:
                return Clue(name, modules[facts.module], certain=True)
    own = known_driver(found.name, drivers) if found else None
    return Clue(own, found.by, found.certain) if found and own else found


def _no_orm(exceptions: Iterable[Raised], driver: Clue | None, drivers: Mapping[str, DriverFacts]) -> Clue | None:
    """Return what shows that no ORM is used: a frame that calls the driver itself. No frame of an ORM was found."""
    if driver is None or not driver.certain:
        return None
    run = drivers.get(driver.name)
    packages = {run.module} if run else set(_clues().driver.get(driver.name, _Named()).modules)
    for raised in exceptions:
        inside = [frame.partition("/")[0] in packages for frame in raised.frames]
        if True in inside[1:] and not inside[0]:
            return Clue("none", raised.frames[inside.index(True)], certain=False)
    return None


def _protocol(
    driver: Clue | None, modules: Mapping[str, str], lines: Iterable[Line], drivers: Mapping[str, DriverFacts]
) -> Clue | None:
    """Return the protocol of a driver that is certain, else what messages say, else the protocol of a likely one."""
    run = drivers.get(driver.name) if driver else None
    spoken = run.protocol if run else protocol_of(driver.name) if driver else None
    if driver and spoken and driver.certain:
        return Clue(spoken, driver.by, certain=True)
    said = _table("protocol").find(modules, lines)
    return said or (Clue(spoken, driver.by, certain=False) if driver and spoken else None)


def _opened(exceptions: Iterable[Raised], frames: tuple[str, ...], lines: Iterable[Line]) -> Clue | None:
    """Return what shows that the first exception was raised while a connection was opened, if that is so."""
    opens, says = _connecting()
    first = next(iter(exceptions), None)
    for frame in first.frames if first and first.frames else frames:
        if opens.search(frame):
            return Clue("connecting", frame, certain=True)
    for line in lines:
        if line.traceback:
            break
        if (words := line.search(says)) is not None:
            return Clue("connecting", words, certain=False)
    return None
