"""Works out the answer to a pasted text: what happened, how sure that is, how to check it, and what to paste."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from matrix.catalogue import STACK_TITLES, STACKS
from matrix.catalogue.launchers import launchers
from matrix.pages import causes, pasted, remedy_files, symptoms
from matrix.pages.causes import Sure, Verdict
from matrix.pages.facts import by_example
from matrix.pages.remedy_files import Fix, plainly
from matrix.pages.words import lower_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matrix.pages.facts import Facts
    from matrix.pages.pasted import Reading
    from matrix.pages.symptoms import Symptom
    from matrix.records.observation import Observation

#: The cause that the code to paste is for, and those that the same code helps against.
FORK = "fork"
FORKS = (FORK, "forked-with-threads")
#: How many causes, hazards and cells an answer names.
CAUSES, HAZARDS, CELLS = 4, 3, 4
#: The application that is a program with Flask-SQLAlchemy, as texts name it.
FLASK = "flask_sqlalchemy"
_SURE = {"certain": "Almost certainly", "likely": "Probably", "possible": "Possibly"}


class Named(msgspec.Struct, frozen=True):
    """A cause that fits: how to tell it from the others, how to check it, and what to do. `because` are words read."""

    id: str
    title: str
    sure: Sure
    because: tuple[str, ...]
    differs: str
    checks: tuple[str, ...]
    fix: str


class Shown(msgspec.Struct, frozen=True):
    """A hazard whose cells show the symptom, with the outcome of each, and why it happens."""

    example: str
    title: str
    why: str
    cells: dict[str, str]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a text.

    `driver`, `orm`, `launcher` and `protocol` are what was told or read, whether it is run here or not. `verdict` has
    three lines: what happened, how sure that is, and what to do. `notes` say whose answer it is if there is none of
    exactly this driver, ORM or launcher. `causes` are the likeliest first, `fixes` code to paste. If nothing in the
    text is known, `verdict` is empty, and `nearest` has messages that are.
    """

    message: str
    symptom: str | None = None
    page: str | None = None
    driver: str | None = None
    orm: str | None = None
    launcher: str | None = None
    protocol: str | None = None
    verdict: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    causes: tuple[Named, ...] = ()
    fixes: tuple[Fix, ...] = ()
    shown: tuple[Shown, ...] = ()
    links: dict[str, str] = {}
    nearest: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything in the text was recognised."""
        return bool(self.verdict)


class _Case(NamedTuple):
    """What is told and read: what people call it, and the stack, driver and launcher of which an answer was run."""

    driver: str | None
    orm: str | None
    launcher: str | None
    protocol: str | None
    stack: str | None
    run_driver: str | None
    run_launcher: str | None
    application: str | None
    pool: bool
    notes: tuple[str, ...]


def answer(
    facts: Facts, text: str | bytes, *, driver: str | None = None, orm: str | None = None, launcher: str | None = None
) -> Answer:
    """Return the answer to a message, a traceback or a log; what is told goes before what is read."""
    reading = pasted.read(text, facts.drivers)
    case = _case(facts, reading, driver, orm, launcher)
    known = symptoms.collect(facts)
    messages = _messages(reading)
    symptom, message = _find(known, messages)
    verdicts = causes.weigh(
        reading,
        launcher=case.launcher if launcher else None,
        orm=case.orm if orm else None,
        protocol=case.protocol if driver else None,
    )
    if not verdicts and symptom and not symptom.matches(message):  # what cells showed, and nothing else is known to
        verdicts = (Verdict(causes.causes()[FORK], 0, "likely"),)
    if not verdicts:
        return Answer(message=message, nearest=tuple(_nearest(known, message)))
    return _answer(facts, symptom, message, verdicts, case)


def of_symptom(facts: Facts, symptom: Symptom) -> Answer:
    """Return the answer to a symptom alone: nothing is known but its message."""
    reading = pasted.read(symptom.message)
    none = _Case(None, None, None, _name(reading.protocol), None, None, None, None, pool=False, notes=())
    verdicts = causes.weigh(reading) or (Verdict(causes.causes()[FORK], 0, "likely"),)
    return _answer(facts, symptom, symptom.message, verdicts, none)


def _case(facts: Facts, reading: Reading, driver: str | None, orm: str | None, launcher: str | None) -> _Case:
    notes = []
    if driver:
        driver = pasted.known_driver(driver, facts.drivers) or pasted.known("driver", driver) or driver
        run = facts.drivers.get(driver)
        protocol = run.protocol if run else pasted.protocol_of(driver) or _name(reading.protocol)
    else:
        driver, protocol = _name(reading.driver), _name(reading.protocol)
    told = pasted.plain(orm or "")
    orm = (pasted.known("orm", orm) or orm) if orm else _name(reading.orm)
    orm = "none" if orm == "bare" else orm
    launcher = (pasted.known("launcher", launcher) or launcher) if launcher else _name(reading.launcher)
    stack = orm if orm in STACKS else "bare" if orm else None
    if orm not in (None, "none", *STACKS):
        notes.append(f"No cell runs {orm}: the answer is that of the driver without an ORM.")
    run_driver = _run_driver(facts, driver, protocol, stack)
    if run_driver and driver and run_driver != driver:
        what = f"{driver} under {STACK_TITLES[stack]}" if stack and driver in facts.drivers else driver
        notes.append(f"No cell runs {what}: the answer is that of {run_driver}, which speaks the same protocol.")
    elif protocol and not run_driver:
        notes.append(f"No cell runs a driver for {protocol}, so there is no code to paste for it.")
    run_launcher, note = _run_launcher(facts, launcher)
    flask = told == "flask-sqlalchemy" or any(FLASK in line.lower for line in reading.lines)
    return _Case(
        driver,
        orm,
        launcher,
        protocol,
        stack,
        run_driver,
        run_launcher,
        application=FLASK if stack == "sqlalchemy" and flask else None,
        pool=stack == "django" and any("psycopg_pool" in line.lower for line in reading.lines),
        notes=(*notes, *note),
    )


def _run_launcher(facts: Facts, launcher: str | None) -> tuple[str | None, list[str]]:
    """Return the launcher whose answer fits, by the name of its folder, and a note if it is another."""
    if launcher is None:
        return None, []
    known = {plainly(one): one for one in launchers(facts.root)}
    known |= {plainly(name): one.name for one in launchers(facts.root).values() for name in one.facts.common_names}
    like = pasted.forks_like(launcher) or ""
    found = known.get(plainly(launcher)) or known.get(plainly(like))
    if found is None:
        return None, [f"No cell runs {launcher}: the answer is that of any process that forks."]
    if plainly(found) == plainly(launcher):
        return found, []
    return found, [f"No cell runs {launcher}: the answer is that of {found}, which forks in the same way."]


def _run_driver(facts: Facts, driver: str | None, protocol: str | None, stack: str | None) -> str | None:
    """Return the driver whose answer fits, of those run with a stack; None if the driver has to stay open."""
    ran = {name: one.protocol for name, one in facts.drivers.items() if stack is None or stack in one.stacks}
    return pasted.nearest(driver or "", protocol, ran) if driver or protocol else None


def _name(clue: pasted.Clue | None) -> str | None:
    return clue.name if clue else None


def _messages(reading: Reading) -> list[str]:
    """Return the messages to look up: exceptions, the one that began it first, then lines.

    An exception that another one quotes began it.
    """
    found = [f"{raised.kind}: {raised.message}".rstrip(": ") for raised in reading.exceptions]
    found += [" ".join(line.text.split()) for line in reading.lines]
    parts = [part.strip() for message in found for part in reversed(symptoms.QUOTES.split(message))]
    return list(dict.fromkeys(part for part in parts if part)) or [""]


def _find(known: Sequence[Symptom], messages: Sequence[str]) -> tuple[Symptom | None, str]:
    """Return the symptom that a text shows, None if none is known, and the message that it was found by."""
    for message in messages:
        plain = symptoms.normalise(message)
        for symptom in known:
            if symptom.matches(message) or any(_same(seen, plain) for seen in symptom.messages()):
                return symptom, message
    for message in messages[:20]:
        for symptom in known:
            if symptom.silent and _near(message, symptom.title) > 0.6:
                return symptom, message
    return None, messages[0]


def _same(seen: str, message: str) -> bool:
    return len(seen) > 8 and seen.lower() in message.lower()


def _near(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one[:200].lower(), other.lower()).ratio()


def _nearest(known: Sequence[Symptom], message: str) -> list[str]:
    titles = {title for symptom in known for title in (symptom.title, *symptom.messages())}
    return sorted(titles, key=lambda title: (-_near(message, title), title))[:3]


def _answer(facts: Facts, symptom: Symptom | None, message: str, verdicts: Sequence[Verdict], case: _Case) -> Answer:
    verdicts = verdicts[:CAUSES]
    forks = any(verdict.cause.id in FORKS for verdict in verdicts)
    cells = [s for s in symptom.cells.values() if facts.example(s.cell.example).kind != "remedy"] if symptom else []
    cells = [seen for seen in cells if case.protocol in (None, facts.drivers[seen.cell.driver].protocol)]
    here = [
        seen
        for seen in cells
        if case.driver in (None, seen.cell.driver) and (case.orm is None or seen.cell.stack == case.stack)
    ]
    exact = _exact(symptom, symptoms.normalise(message), here) if symptom else []
    likely = exact or here or cells
    hazards = by_example(likely) if forks else {}
    fixes = _fixes(facts, hazards, likely, case) if forks and (case.protocol is None or case.run_driver) else ()
    notes = case.notes
    if case.run_launcher and fixes and not fixes[0].launcher:
        note = f"No cell runs {case.run_launcher} with this driver and ORM: the code is tested with a plain fork."
        notes += (f"{note} docs/choosing.md says where it goes.",)
    return Answer(
        message=message[:300],
        symptom=symptom.id if symptom else None,
        page=symptom.page if symptom else None,
        driver=case.driver,
        orm=case.orm,
        launcher=case.launcher,
        protocol=case.protocol,
        verdict=(
            _what(symptom, verdicts),
            _how_sure(verdicts)
            + (f" {_evidence(facts, symptom, cells, here, exact, case)}" if forks and symptom else ""),
            _to_do(verdicts),
        ),
        notes=notes,
        causes=tuple(_named(verdict, case.protocol) for verdict in verdicts),
        fixes=fixes,
        shown=tuple(_shown(facts, name, some) for name, some in list(hazards.items())[:HAZARDS]),
        links=dict(symptom.described.reported) if symptom else {},
    )


def _fixes(
    facts: Facts, hazards: dict[str, list[Observation]], likely: Sequence[Observation], case: _Case
) -> tuple[Fix, ...]:
    return remedy_files.fixes(
        facts,
        hazards,
        case.stack,
        _code_driver(facts, likely, case),
        case.run_launcher,
        case.application,
        pool=case.pool,
        inside=plainly(case.launcher or "") == plainly(case.run_launcher or ""),
    )


def _code_driver(facts: Facts, likely: Sequence[Observation], case: _Case) -> str | None:
    """Return the driver to print code for; None prints code that fits every driver."""
    if case.driver or case.run_driver is None:
        return case.run_driver
    drivers = list(dict.fromkeys(seen.cell.driver for seen in likely))
    fitting = [name for name in drivers if case.stack is None or case.stack in facts.drivers[name].stacks]
    ran = {seen.cell.driver for seen in facts.launched.values() if seen.cell.launcher == case.run_launcher}
    fitting = [name for name in fitting if name in ran] or fitting
    return max(fitting, key=lambda name: sum(s.cell.driver == name for s in likely), default=case.run_driver)


def _what(symptom: Symptom | None, verdicts: Sequence[Verdict]) -> str:
    first = verdicts[0]
    meaning = symptom.described.meaning if symptom else ""
    if first.sure == "possible":
        return f"{meaning or first.cause.meaning} The text alone does not tell why."
    return f"{first.cause.title}. {meaning or first.cause.meaning}"


def _how_sure(verdicts: Sequence[Verdict]) -> str:
    first, others = verdicts[0], [verdict.cause.brief for verdict in verdicts[1:]]
    by = ", ".join(f"`{words[:80]}`" for words in first.because[:3])
    if first.sure == "possible":
        return f"Not sure. It fits {_either([first.cause.brief, *others])}."
    rest = f" Less likely: {_either(others)}." if others else ""
    return f"{_SURE[first.sure]} {first.cause.brief}{f', because of {by}' if by else ''}.{rest}"


def _either(names: Sequence[str]) -> str:
    return " or ".join(filter(None, ["; ".join(names[:-1]), names[-1]]))


def _to_do(verdicts: Sequence[Verdict]) -> str:
    first = verdicts[0]
    if first.sure != "possible":
        return first.cause.fix
    fork = next((verdict.cause for verdict in verdicts if verdict.cause.id == FORK), None)
    if fork is None:
        return "Run the checks below; what to do is said with each cause."
    fix = lower_first(fork.fix)
    return f"Run the checks below first. If it is a fork: {fix} Otherwise do what the cause says."


def _named(verdict: Verdict, protocol: str | None) -> Named:
    cause = verdict.cause
    return Named(
        cause.id, cause.title, verdict.sure, verdict.because, cause.differs, cause.checks.of(protocol), cause.fix
    )


def _exact(symptom: Symptom, message: str, cells: Sequence[Observation]) -> list[Observation]:
    """Return the cells, of these, in which this very message was raised."""
    ids = {
        sighting.seen.id
        for title, some in symptom.messages().items()
        if _same(some[0].message or title, message)
        for sighting in some
    }
    return [seen for seen in cells if seen.id in ids]


def _evidence(
    facts: Facts,
    symptom: Symptom,
    cells: Sequence[Observation],
    here: Sequence[Observation],
    exact: Sequence[Observation],
    case: _Case,
) -> str:
    """Say whether cells showed this after a fork."""
    if not symptom.cells:
        return "Forks are reported with it; it is not reproduced here."
    orm = STACK_TITLES[case.stack] if case.stack and case.stack != "bare" else ""
    whose = " under ".join(filter(None, [case.driver, orm]))
    whose = f" with {whose}" if whose else ""
    if exact:
        return f"After a fork, {len(exact)} cells raised this very message{whose}."
    if here:
        return f"After a fork, {len(here)} cells {'show it' if symptom.silent else 'raised such a message'}{whose}."
    if cells:
        drivers = ", ".join(dict.fromkeys(seen.cell.driver for seen in cells))
        return f"After a fork, no cell raised it{whose}; {len(cells)} did with {drivers}."
    return f"After a fork, no cell raised it{whose or ' with this protocol'}."


def _shown(facts: Facts, name: str, cells: Iterable[Observation]) -> Shown:
    some = list(cells)
    why = next((facts.reasons[reason].sentence for reason in facts.reasons_of(some)), "")
    return Shown(name, facts.example(name).title, why, {seen.id: seen.outcome for seen in some[:CELLS]})
