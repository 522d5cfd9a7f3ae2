"""Results and evidence for tests of the report: one cell as it really went, one that is hostile, and far too many."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

from matrix.records import old_results as observations
from matrix.records.outcomes import OUTCOMES

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = "bare/closed_in_child/pymysql/mariadb/tcp"
REMEDY = "bare/discarded_in_child/pymysql/mariadb/tcp"
HANGS = "django/shared_in_turn/pymysql/mariadb/tls"
DIFFERS = "sqlalchemy/closed_in_child/psycopg/postgresql/unix"
ABSENT = "sqlalchemy/closed_in_child/psycopg/postgresql/tls"
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> \x1b[31m &amp; ]]>"
)

TRANSCRIPT = """\
parent   prepare
parent   prepare: done, over tcp
parent   connect
parent   connect: done, session A
parent   look up 1
parent   look up 1: order 1, session A
parent   wait
child 1  close
child 1  close: done
child 1  connect
child 1  connect: done, session B
child 1  look up 101
child 1  look up 101: order 101, session B
parent   wait: exit 0
parent   look up 2
parent   look up 2: raised pymysql.err.OperationalError 2013: Lost connection to MySQL server during query
""".splitlines()

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
118.3|message|child 1|B|COM_QUERY "SELECT id, CONNECTION_ID() FROM orders WHERE id = 101"|nobody else held it
118.5|message|server|B|rows 1: (101, ...)|
118.8|end|child 1||look up 101: order 101, session B|
120.0|socket||B|FIN|parent or child 1: cannot be told
120.6|end|parent||wait: exit 0|
120.7|begin|parent||look up 2|
121.0|end|parent||look up 2: raised pymysql.err.OperationalError 2013: Lost connection to MySQL server during query|
122.3|message|parent|A|COM_QUERY "SELECT id, CONNECTION_ID() FROM orders WHERE id = 2"|only it could
122.5|socket||A|not delivered: the server has closed the connection|"""


def observation(key: str, outcome: str = "works", **changes: Any) -> dict[str, Any]:
    """Return an observation of a cell that fits the schema."""
    stack, example, driver, server, transport = key.split("/")
    view: dict[str, Any] = {"right": 1, "wrong": 0, "errors": [], "unanswered": []}
    return {
        "id": key,
        "stack": stack,
        "example": example,
        "driver": driver,
        "transport": transport,
        "outcome": outcome,
        "seen": {outcome: 1},
        "parent": {**view, "session": "same"},
        "children": [{"name": "child 1", **view, "session": "own"}],
        "server": {
            "family": server,
            "sessions_before": 0,
            "sessions_after": 0,
            "sessions_used": ["A", "B"],
            "committed": None,
            "lost": [],
            "unwanted": [],
        },
        "transcript": list(TRANSCRIPT),
        "versions": {"driver": f"{driver} 1.0", "server": f"{server} 10.11", "python": "3.11.7"},
        "expected": [outcome],
        "reason": None,
    } | changes


def timeline() -> dict[str, Any]:
    """Return the evidence of `closed_in_child` with PyMySQL, with one message of unknown sender."""
    entries = []
    for line in _EVENTS.splitlines():
        at, kind, who, session, text, how = line.split("|")
        entry = {"at": float(at), "kind": kind, "who": who or None, "session": session or None, "text": text}
        entries.append(entry | ({"how": how} if how else {}))
    return {"processes": ["parent", "child 1"], "sessions": ["A", "B"], "timeline": entries}


def few() -> dict[str, dict[str, Any]]:
    """Return a handful of cells, one of each kind that a report treats in its own way."""
    error = {"errors": ["pymysql.err.OperationalError 2013"]}
    closed = observation(CLOSED, "parent error")
    closed["parent"] |= error | {"session": "lost"}
    cells = [
        closed,
        observation(REMEDY),
        observation(HANGS, "hang", seen={"hang": 3, "works": 2}, expected=["hang", "works"]),
        observation(DIFFERS, "wrong row", expected=["parent error"], transcript=[*TRANSCRIPT, f"parent   {HOSTILE}"]),
        observation(ABSENT, "not applicable", transcript=[], versions={}, expected=[], note=f"no TLS {HOSTILE}"),
    ]
    return {cell["id"]: cell for cell in cells}


def many(stacks: int = 3, examples: int = 32) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return about 900 cells and as much evidence as a run may keep of each: nothing in it is said twice."""
    randomness = random.Random(1)
    cells, evidence = {}, {}
    for stack in ("bare", "django", "sqlalchemy")[:stacks]:
        for number in range(examples):
            for driver, server in (("mysqlclient", "mariadb"), ("psycopg", "postgresql"), ("pymysql", "mariadb")):
                for transport in ("tcp", "tls", "unix"):
                    key = f"{stack}/an_example_number_{number}/{driver}/{server}/{transport}"
                    lines = [f"child {n % 9 + 1}  look up {n}: raised Error {randomness.random()}" for n in range(80)]
                    outcome = randomness.choice(list(OUTCOMES))
                    cells[key] = observation(key, outcome, transcript=lines)
                    evidence[key] = {
                        "processes": ["parent", *(f"child {n}" for n in range(1, 10))],
                        "sessions": list("ABCDEFGHIJ"),
                        "timeline": [_event(n, randomness) for n in range(400)],
                    }
    return cells, evidence


def _event(number: int, randomness: random.Random) -> dict[str, Any]:
    return {
        "at": number * 3 + round(randomness.random(), 1),
        "kind": "message",
        "who": randomness.choice([None, "server", "parent", "child 3"]),
        "how": "only it could",
        "session": randomness.choice("ABCDEFGHIJ"),
        "text": f'COM_QUERY "SELECT id FROM orders WHERE id = {randomness.random()}"',
    }


def write_results(folder: Path, cells: dict[str, dict[str, Any]], evidence: dict[str, dict[str, Any]]) -> None:
    """Write a folder of results, as a run does."""
    for driver in sorted({cell["driver"] for cell in cells.values()}):
        mine = [cell for cell in cells.values() if cell["driver"] == driver]
        observations.write(folder / f"{driver}.json", driver, mine)
    for key, shown in evidence.items():
        stack, example, driver, _, _ = key.split("/")
        path = folder / driver / stack / f"{example}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = json.loads(path.read_text())["cells"] if path.exists() else {}
        path.write_text(json.dumps({"format": observations.EVIDENCE_FORMAT, "cells": stored | {key: shown}}))
