"""Records for tests of the report: one cell as it really went, one that is hostile, and far too many."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from matrix.records import results
from matrix.records.claim import Claim, Reason
from matrix.records.evidence import Entry, Evidence
from matrix.records.observation import Coordinates, Observation, ServerView, View
from matrix.records.outcomes import OUTCOMES, Outcome
from matrix.records.stable import plain
from matrix.records.steps import Step
from matrix.records.summary import Summary
from tests.written_steps import written

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CLOSED = "bare/closed_in_child/pymysql/mariadb/tcp"
REMEDY = "bare/discarded_in_child/pymysql/mariadb/tcp"
HANGS = "django/shared_in_turn/pymysql/mariadb/tls"
DIFFERS = "sqlalchemy/closed_in_child/psycopg/postgresql/unix"
ABSENT = "sqlalchemy/closed_in_child/psycopg/postgresql/tls"
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \x1b[31m &amp; ]]>"
)
REASONS = {
    "closes": Reason(sentence=f"`close()` ends the session {HOSTILE}", fix_in="you", link="https://example.org/why")
}

STEPS = plain(
    written(
        "0 parent prepare",
        "1 parent prepare: done, over tcp",
        "2 parent connect",
        "3 parent connect: done, session 7",
        "4 parent look up 1",
        "5 parent look up 1: order 1, session 7",
        "6 parent wait",
        "7 child 1 close",
        "8 child 1 close: done",
        "9 child 1 connect",
        "10 child 1 connect: done, session 8",
        "11 child 1 look up 101",
        "12 child 1 look up 101: order 101, session 8",
        "13 parent wait: exit 0",
        "14 parent look up 2",
        "15 parent look up 2: raised pymysql.err.OperationalError 2013: Lost connection to MySQL server during query",
    )
)

#: at | kind | who | session | text | how; the text of an end is its step and its result.
_EVENTS = """\
0.0|begin|parent||prepare|
45.0|end|parent||prepare: done, over tcp|
45.1|begin|parent||connect|
45.4|socket|parent|A|opens a connection|only it could
54.9|message|parent|A|COM_QUERY "SET NAMES utf8mb4"|only it could
55.0|message|server|A|OK|
55.1|end|parent||connect: done, session A|
55.2|begin|parent||look up 1|
55.4|message|parent|A|COM_QUERY "SELECT id, CONNECTION_ID() FROM orders WHERE id = 1"|only it could
55.7|message|server|A|rows 1: (1, ...)|
55.9|end|parent||look up 1: order 1, session A|
56.4|server|server||shows session A|
80.5|begin|parent||wait|
88.1|begin|child 1||close|
90.5|end|child 1||close: done|
90.7|message|child 1|A|COM_QUIT|only it could
94.1|socket|server|A|FIN|
95.0|server|server||shows no session|
96.2|begin|child 1||connect|
98.2|socket|child 1|B|opens a connection|only it could
117.7|end|child 1||connect: done, session B|
117.8|begin|child 1||look up 101|
118.3|message|child 1|B|COM_QUERY "SELECT id, CONNECTION_ID() FROM orders WHERE id = 101"|no other process had it
118.5|message|server|B|rows 1: (101, ...)|
118.8|end|child 1||look up 101: order 101, session B|
120.0|socket||B|FIN|unknown: parent or child 1
120.6|end|parent||wait: exit 0|
120.7|begin|parent||look up 2|
121.0|end|parent||look up 2: raised pymysql.err.OperationalError 2013: Lost connection to MySQL server during query|
122.3|message|parent|A|COM_QUERY "SELECT id, CONNECTION_ID() FROM orders WHERE id = 2"|only it could
122.5|socket||A|not delivered: the server has closed the connection|"""


def cell(key: str) -> Coordinates:
    """Return the coordinates that a cell's id names."""
    stack, example, driver, server, transport = key.split("/")
    return Coordinates(stack, example, driver, server, transport)  # type: ignore[arg-type]  # a transport


def observation(key: str, outcome: Outcome = "works", **changes: Any) -> Observation:
    """Return an observation of a cell."""
    server = key.split("/")[3]
    facts: dict[str, Any] = {
        "cell": cell(key),
        "outcome": outcome,
        "seen": {outcome: 1},
        "parent": View(name="parent", session="same", right=1),
        "children": [View(name="child 1", session="own", right=1)],
        "server": ServerView(sessions_used=["A", "B"]),
        "steps": STEPS,
        "versions": {"driver": f"{key.split('/')[2]} 1.0", "server": f"{server} 10.11", "python": "3.11.7"},
    }
    return Observation(**(facts | changes))


def timeline() -> Evidence:
    """Return the evidence of `closed_in_child` with PyMySQL, with one message of unknown sender."""
    entries = []
    for line in _EVENTS.splitlines():
        at, kind, who, session, text, how = line.split("|")
        step, _, result = text.partition(": ")
        ended: dict[str, Any] = {"step": step, "text": result, "went_wrong": "raised" in result}
        facts = ended if kind == "end" else {"text": text, "closes": text == "FIN"}
        entries.append(
            Entry(
                at=float(at),
                kind=kind,  # type: ignore[arg-type]  # one of the kinds
                who=who or None,
                session=session or None,
                how=how or None,
                **facts,
            )
        )
    return Evidence(processes=["parent", "child 1"], sessions=["A", "B"], timeline=entries)


def few() -> Summary:
    """Return a handful of cells, one of each kind that a report treats in its own way."""
    hostile = Step(who="parent", action="look up", about=3, result="row", text=HOSTILE)
    lost = View(name="parent", session="lost", right=1, errors=["pymysql.err.OperationalError 2013"])
    cells = [
        observation(CLOSED, "parent error", parent=lost),
        observation(REMEDY),
        observation(HANGS, "hang", seen={"hang": 3, "works": 2}),
        observation(DIFFERS, "wrong row", steps=[*STEPS, hostile]),
        observation(ABSENT, "not applicable", steps=[], versions={}, note=f"no TLS {HOSTILE}"),
    ]
    return Summary(
        observations={seen.id: seen for seen in cells},
        claims={
            CLOSED: Claim(("parent error",), "closes"),
            REMEDY: Claim(("works",), "closes"),
            HANGS: Claim(("hang", "works"), "closes"),
            DIFFERS: Claim(("parent error",), "closes"),
        },
        evidence={CLOSED: timeline()},
    )


def many(stacks: int = 3, examples: int = 32) -> Summary:
    """Return hundreds of cells and as much evidence as a run may keep of each: nothing in it occurs twice."""
    randomness = random.Random(1)
    whole = Summary()
    outcomes: list[Outcome] = list(OUTCOMES)
    for stack in ("bare", "django", "sqlalchemy")[:stacks]:
        for number in range(examples):
            for driver, server in (("mysqlclient", "mariadb"), ("psycopg", "postgresql"), ("pymysql", "mariadb")):
                for transport in ("tcp", "tls", "unix"):
                    key = f"{stack}/an_example_number_{number}/{driver}/{server}/{transport}"
                    steps = [
                        Step(
                            who=f"child {n % 9 + 1}",
                            action="look up",
                            about=n,
                            result="raised",
                            error="Error",
                            text=str(randomness.random()),
                        )
                        for n in range(80)
                    ]
                    whole.observations[key] = observation(key, randomness.choice(outcomes), steps=steps)
                    whole.evidence[key] = Evidence(
                        processes=["parent", *(f"child {n}" for n in range(1, 10))],
                        sessions=list("ABCDEFGHIJ"),
                        timeline=[_event(n, randomness) for n in range(400)],
                    )
    return whole


def _event(number: int, randomness: random.Random) -> Entry:
    return Entry(
        at=number * 3 + round(randomness.random(), 1),
        kind="message",
        who=randomness.choice([None, "server", "parent", "child 3"]),
        how="only it could",
        session=randomness.choice("ABCDEFGHIJ"),
        text=f'COM_QUERY "SELECT id FROM orders WHERE id = {randomness.random()}"',
    )


def write_results(folder: Path, observations: Mapping[str, Observation], evidence: Mapping[str, Evidence]) -> None:
    """Write a folder of results, as a run does."""
    for driver in sorted({seen.cell.driver for seen in observations.values()}):
        mine = {key: seen for key, seen in observations.items() if seen.cell.driver == driver}
        results.write(folder, driver, mine.values(), {key: evidence[key] for key in mine if key in evidence})
