"""The files of results: `<folder>/<driver>.json` has observations, `<folder>/<driver>/<stack>/<example>.json` evidence.

Both are made to be read as a diff: a line for each step and each entry, no defaults, nothing twice. Versions are named
once a file. Cells that differ in the transport alone are one record and share their steps: two runs never interleave
alike, and what counts is what each process did, in its order. A step that ends right after it began is one line:
`["parent","look up",1,"order",1,"A"]` is who, action, order asked for, result, order read, session.
"""

from __future__ import annotations

import os
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec.structs import replace

from matrix.errors import MatrixError
from matrix.files import locked, remove_leftovers, write_text
from matrix.records import costs
from matrix.records.evidence import Evidence
from matrix.records.facts import TRANSPORTS, Transport
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.outcomes import OUTCOMES, Outcome, worst
from matrix.records.reading import ROOT, read_json, shown
from matrix.records.steps import READING, Step, check

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

#: Raised by one whenever a reader of older files would misunderstand newer ones, or the other way round.
FORMAT = 2
RESULTS = ROOT / "matrix" / "results"

#: How many steps stay on either side of what is left out of a long run.
_CONTEXT = 5
_AGAIN = "delete it and run again"
F = TypeVar("F")
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[\w-]+\Z")]
#: What stands for the name of the transport in steps that several transports share.
_TRANSPORT = "{transport}"


class _Format(msgspec.Struct):
    """The one field that every version of a file has."""

    format: int


class _Record(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The cells of one stack, example and server of which the same was observed (see Observation for the fields)."""

    cell: Annotated[str, msgspec.Meta(pattern=r"^[\w-]+/[\w+-]+/[\w-]+(\.\d+)*\Z")]
    transports: Annotated[list[Transport], msgspec.Meta(min_length=1)]
    outcome: Outcome
    seen: dict[Outcome, _Count]
    versions: str
    parent: View
    children: list[View] = []
    server: ServerView = msgspec.field(default_factory=ServerView)
    note: str | None = None
    omitted: int = 0
    omitted_after: int = 0
    steps: list[list[Any]] = []


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: int
    driver: _Name
    versions: dict[str, dict[str, str]]
    observations: list[_Record]


class _EvidenceFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: int
    cells: dict[str, Evidence]


def read(path: Path, *, only: str = "") -> dict[str, Observation]:
    """Return a file's observations by cell id, none if there is no file.

    With `only`, their steps are those with that result, which is faster. Raises MatrixError, with file and key, if it
    is not what this version writes.
    """
    file = _read(path, _File)
    return _observations(path, file, only) if file else {}


def _observations(path: Path, file: _File, only: str = "") -> dict[str, Observation]:
    found = {}
    for index, record in enumerate(file.observations):
        stack, example, server = record.cell.split("/")
        try:
            versions = file.versions[record.versions]
            if record.seen and record.outcome != worst(record.seen):
                raise ValueError(f"outcome: {record.outcome!r} is not the worst of `seen`")
            packed = [step for step in record.steps if only in step] if only else record.steps
            for transport in record.transports:
                observation = Observation(
                    cell=Coordinates(stack, example, file.driver, server, transport),
                    outcome=record.outcome,
                    seen=record.seen,
                    parent=record.parent,
                    children=record.children,
                    server=record.server,
                    steps=_unpack(packed, transport),
                    omitted=record.omitted,
                    omitted_after=record.omitted_after,
                    versions=versions,
                    note=record.note,
                )
                if observation.id in found:
                    raise ValueError(f"{observation.id} is there twice")
                found[observation.id] = observation
        except KeyError:
            problem = f"no versions are called {record.versions!r}"
        except ValueError as error:
            problem = str(error)
        else:
            continue
        raise MatrixError(f"{shown(path)}: observations[{index}], {record.cell}: {problem}; {_AGAIN}")
    return found


def read_folder(folder: Path, *, only: str = "") -> dict[str, Observation]:
    """Return the observations of every driver in a folder of results, by cell id; see `read`."""
    paths = [path for path in sorted(folder.glob("*.json")) if path.name != costs.NAME]
    return {key: value for path in paths for key, value in read(path, only=only).items()}


def read_evidence(folder: Path, key: str) -> Evidence | None:
    """Return a cell's evidence from a folder of results, None if there is none; raise MatrixError as `read` does."""
    file = _read(_evidence_path(folder, key), _EvidenceFile)
    return file.cells.get(key) if file else None


def write(
    folder: Path,
    driver: str,
    observations: Iterable[Observation],
    evidence: Mapping[str, Evidence] | None = None,
    *,
    current: Collection[str] | None = None,
    keep_evidence: Collection[str] | None = None,
    add_counts: bool = False,
) -> set[str]:
    """Add a driver's observations, and the evidence of some by cell id, to a folder; return the ids of what changed.

    What is there of other cells stays, even if another process writes at the same time, unless they are not among
    `current`, the ids of the cells that exist. An observation that says nothing new changes nothing (see
    `keep_if_same`), and evidence is written where the observation changed or there was none. Of evidence only
    what is among `keep_evidence` is kept, None keeps all. With `add_counts` the runs are added to those that were
    counted before; see `add_runs`. Raises MatrixError if a file cannot be read or written.
    """
    path = folder / f"{driver}.json"
    with locked(folder):
        remove_leftovers(path)
        file = _read(path, _File)
        old = _observations(path, file) if file else {}
        combine = add_runs if add_counts else keep_if_same
        new = {each.id: combine(old.get(each.id), each) for each in observations}
        changed = {key for key, each in new.items() if each is not old.get(key)}
        told = {key for key in changed if keep_if_same(old.get(key), new[key]) is new[key]}
        whole = {key: each for key, each in (old | new).items() if current is None or key in {*current, *new}}
        files = _evidence_files(folder, evidence or {}, told | (old.keys() - whole.keys()), whole, keep_evidence)
        # Evidence first: if the rest fails, the next run finds the observations changed, and writes both.
        for place, text in files.items():
            remove_leftovers(place)
            if text is None:
                place.unlink(missing_ok=True)
            elif not place.exists() or place.read_text(encoding="utf-8") != text:
                write_text(place, text)
        if changed or whole.keys() != old.keys():
            write_text(path, _file(driver, whole.values(), file.versions if file else {}))
    return changed


def check_writable(folder: Path) -> None:
    """Raise MatrixError if results could not be written into a folder, before any work is done for them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MatrixError(
            f"{shown(folder)}: results cannot be written there: {error.strerror}; use --output DIR"
        ) from None
    if not os.access(folder, os.W_OK):
        raise MatrixError(f"{shown(folder)}: results cannot be written there: no permission; use --output DIR")


def keep_if_same(old: Observation | None, new: Observation) -> Observation:
    """Return an earlier observation if a new one says nothing else: a run changes files only where facts changed.

    What may differ unnoticed is how the steps of different processes interleave, the letters of sessions, which follow
    from that, and how often each outcome was seen.
    """
    return old if old is not None and _facts(old) == _facts(new) else new


def add_runs(old: Observation | None, new: Observation) -> Observation:
    """Return an observation with the runs of an earlier one added to its own, if the same versions took part.

    The run that is shown is the earlier one, unless the worst outcome is new. Other versions count from the start.
    """
    if old is None or not old.applies or not new.applies or old.versions != new.versions:
        return new if new.applies or old is None else old
    seen = {name: old.seen.get(name, 0) + new.seen.get(name, 0) for name in OUTCOMES if name in old.seen | new.seen}
    shown = old if old.outcome == worst(seen) else new
    return replace(shown, seen=seen)


def shorten(steps: Sequence[Step], limit: int = 80) -> tuple[list[Step], int, int]:
    """Leave out the uneventful middle of a long run; return the other steps, how many went, and after which index.

    Of more than `limit` steps those go that are too many, unless they are a few, out of the longest stretch in which
    one process acts alone: where several do, no two runs would lose the same. In there it is the part with the fewest
    exceptions and wrong rows, and of several the one nearest to the middle of what that process did. A step that begins
    on one side of it ends there too.
    """

    def process(index: int) -> tuple[str, str]:
        return steps[index].who, steps[index].thread

    stretches = [list(stretch) for _, stretch in groupby(range(len(steps)), key=process)]
    alone = max(stretches, key=len, default=[])[_CONTEXT:-_CONTEXT]
    length = min(len(steps) - limit, len(alone))
    if length < limit // 4:
        return list(steps), 0, 0
    weights = [0, *accumulate(step.went_wrong for step in steps)]
    own = [index for index in range(len(steps)) if process(index) == process(alone[0])]
    first = min(
        alone[: len(alone) - length + 1],
        key=lambda start: (weights[start + length] - weights[start], abs(own.index(start) * 2 + length - len(own))),
    )
    last = first + length
    if _beginning(steps[first]) == steps[first - 1]:
        first += 1
    if _beginning(steps[last]) == steps[last - 1]:
        last -= 1
    return [*steps[:first], *steps[last:]], last - first, first - 1


def _facts(observation: Observation) -> Observation:
    """Return an observation with what differs from run to run taken out or put in order.

    Children that start at the same time are numbered as they come, and take tasks from a queue as they come. So they
    are told apart by what they did, and it does not matter which order a process asked for if it got that one.
    """
    steps: dict[str, list[Step]] = {view.name: [] for view in [observation.parent, *observation.children]}
    for step in observation.steps:
        asks = step.action in READING and (step.result is None or step.right)
        steps.setdefault(step.who, []).append(
            replace(step, who="", about=None, order=None) if asks else replace(step, who="")
        )
    for own in steps.values():
        own.sort(key=lambda step: step.thread)
    done = {who: [str(replace(step, session=step.session and "")) for step in own] for who, own in steps.items()}
    order = sorted(steps, key=lambda who: (who != observation.parent.name, done[who]))
    letters: dict[int | str, str] = {}

    def letter(session: int | str) -> str:
        return letters.setdefault(session, str(len(letters)))

    return replace(
        observation,
        seen=dict.fromkeys(sorted(observation.seen), 1),
        omitted_after=0,
        steps=[
            replace(step, who=str(number), session=None if step.session is None else letter(step.session))
            for number, who in enumerate(order)
            for step in steps[who]
        ],
        children=sorted(
            (replace(view, name=str(order.index(view.name))) for view in observation.children),
            key=lambda view: view.name,
        ),
        server=replace(
            observation.server, sessions_used=sorted(letter(session) for session in observation.server.sessions_used)
        ),
    )


def _file(driver: str, observations: Iterable[Observation], known: Mapping[str, dict[str, str]]) -> str:
    """Return the text of a file: records in the order of their cells, and a line for each step.

    `known` are sets of versions that have a name, which changes as little as possible.
    """
    ordered = sorted(observations, key=_order)
    sets = _version_sets(ordered, known)
    records = []
    for place, group in groupby(ordered, key=_place):
        own = [name for name in sets if name.partition(" ")[0] == f"{place[0]}/{place[2]}"]
        for transports, each in _shared(group):
            record = _Record(
                cell="/".join(place),
                transports=transports,
                outcome=each.outcome,
                seen=dict(sorted(each.seen.items())),
                versions=next(name for name in own if sets[name] == each.versions),
                parent=each.parent,
                children=each.children,
                server=each.server,
                note=each.note,
                omitted=each.omitted,
                omitted_after=each.omitted_after,
            )
            steps = ",\n".join(map(_json, _pack(each.steps)))
            records.append(_json(record)[:-1] + (f',"steps":[\n{steps}]}}' if steps else "}"))
    versions = ",\n".join(f"{_json(name)}:{_json(each)}" for name, each in sets.items())
    head = f'"format":{FORMAT},"driver":{_json(driver)}'
    return "".join(["{", head, ',\n"versions":{\n', versions, '},\n"observations":[\n', ",\n".join(records), "]}\n"])


def _place(observation: Observation) -> tuple[str, str, str]:
    """Return what a record is about: stack, example and server."""
    cell = observation.cell
    return cell.stack, cell.example, cell.server


def _order(observation: Observation) -> tuple[tuple[str, str, str], int]:
    return _place(observation), TRANSPORTS.index(observation.cell.transport)


def _shared(observations: Iterable[Observation]) -> list[tuple[list[Transport], Observation]]:
    """Return observations that differ in the transport alone as one, and the transports."""
    groups: list[tuple[Observation, list[Transport], Observation]] = []
    for each in observations:
        transport = each.cell.transport
        steps = [
            replace(step, text=_TRANSPORT) if step.action == "prepare" and step.text == transport else step
            for step in each.steps
        ]
        general = replace(each, cell=replace(each.cell, transport="tcp"), steps=steps)
        facts = replace(_facts(general), seen=each.seen)
        same = next((transports for other, transports, _ in groups if other == facts), None)
        if same is None:
            groups.append((facts, [transport], general))
        else:
            same.append(transport)
    return [(transports, general) for _, transports, general in groups]


def _version_sets(
    observations: Iterable[Observation], known: Mapping[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """Return each set of versions once, by stack and server, with a number if several are in use; known ones first."""
    order = list(known.values())
    sets: dict[str, list[dict[str, str]]] = {}
    for each in observations:
        same = sets.setdefault(f"{each.cell.stack}/{each.cell.server}", [])
        if each.versions not in same:
            same.append(each.versions)
    for same in sets.values():
        same.sort(key=lambda versions: order.index(versions) if versions in order else len(order))
    return {
        f"{name} {number}" if number > 1 else name: versions
        for name, same in sorted(sets.items())
        for number, versions in enumerate(same, 1)
    }


class _Packed(Step, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag=False):
    """A step as a file has it: an end stands for its beginning as well, unless that `began` further up."""

    began: bool = False


def _pack(steps: Sequence[Step]) -> list[list[Any]]:
    """Return a list of values for each step: who, action, about, result, order and session, if any; last, the rest."""
    packed: list[list[Any]] = []
    previous: Step | None = None
    for step in steps:
        rest = {name: getattr(step, name) for name in ("error", "code", "text") if getattr(step, name) is not None}
        if step.thread:
            rest["thread"] = step.thread
        if step.result is not None:
            if previous == _beginning(step):
                packed.pop()
            else:
                rest["began"] = True
        values = (step.who, step.action, step.about, step.result, step.order, step.session, rest or None)
        packed.append([value for value in values if value is not None])
        previous = step
    return packed


def _unpack(packed: Sequence[list[Any]], transport: str) -> list[Step]:
    """Return the steps that were packed; raise ValueError, with the index, for what is not a step."""
    steps = []
    for index, values in enumerate(packed):
        try:
            *plain, rest = values if isinstance(values[-1], dict) else [*values, {}]
            names = ["who", "action"]
            if isinstance([*plain, None, None][2], int):
                names.append("about")
            names += ["result", *(["order"] if "order" in plain[len(names) :][:1] else []), "session"]
            if len(plain) > len(names):
                raise ValueError(f"`{plain[len(names)]}` is one value too many")
            read = msgspec.convert(dict(zip(names, plain, strict=False)) | rest, _Packed)
            step = Step(**{name: getattr(read, name) for name in Step.__struct_fields__})
            if step.text == _TRANSPORT:
                step = replace(step, text=transport)
            check(step)
        except (IndexError, ValueError) as error:
            raise ValueError(f"steps[{index}]: {error}") from None
        if step.result is not None and not read.began:
            steps.append(_beginning(step))
        steps.append(step)
    return steps


def _beginning(step: Step) -> Step:
    return Step(who=step.who, action=step.action, about=step.about, thread=step.thread)


def _evidence_files(
    folder: Path,
    evidence: Mapping[str, Evidence],
    changed: set[str],
    observed: Collection[str],
    keep: Collection[str] | None,
) -> dict[Path, str | None]:
    """Return the text of each file of evidence that may change, None for one that holds nothing any more."""
    paths = {_evidence_path(folder, key) for key in (*evidence, *changed)}
    texts: dict[Path, str | None] = {}
    for path in sorted(paths):
        file = _read(path, _EvidenceFile)
        old = file.cells if file else {}
        new = {key: each for key, each in evidence.items() if _evidence_path(folder, key) == path}
        cells = {
            key: old[key] if key in old and key not in changed else new[key]
            for key in sorted(old.keys() | new.keys())
            if key in observed and (keep is None or key in keep) and (key in new or key not in changed)
        }
        texts[path] = _evidence_text(cells) if cells else None
    return texts


def _evidence_text(cells: Mapping[str, Evidence]) -> str:
    texts = []
    for key, each in cells.items():
        timeline = ",\n".join(map(_json, each.timeline))
        head = _json(replace(each, timeline=[]))[:-1]
        texts.append(f'{_json(key)}:{head}{"" if head == "{" else ","}"timeline":[\n{timeline}]}}')
    return "".join([f'{{"format":{FORMAT},"cells":{{\n', ",\n".join(texts), "}}\n"])


def _evidence_path(folder: Path, key: str) -> Path:
    stack, example, driver, *_ = key.split("/")
    return folder / driver / stack / f"{example}.json"


def _read(path: Path, what: type[F]) -> F | None:
    """Return a file's data, None if there is no file; raise MatrixError if it is not what this version writes."""
    if not path.exists():
        return None
    version = read_json(path, _Format, hint=_AGAIN).format
    if version != FORMAT:
        raise MatrixError(
            f"{shown(path)}: format {version}, this version reads {FORMAT}; {_AGAIN}, or give --output DIR"
        )
    return read_json(path, what, hint=_AGAIN)


def _json(what: object) -> str:
    return msgspec.json.encode(what).decode()
