"""The facts that the pages rest on, from the wire and from the server's log, on real servers with the real drivers.

Session A is the parent's in all of these examples: it is the first that the transcript names.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from matrix.records import old_results as observations
from matrix.run.runner import Options, run

#: The modules whose presence says that a driver is installed, and the goodbye of its protocol.
MODULES = {"mysqlclient": "MySQLdb", "pymysql": "pymysql", "psycopg": "psycopg"}
GOODBYES = {"mysqlclient": "COM_QUIT", "pymysql": "COM_QUIT", "psycopg": "Terminate"}
DRIVERS = tuple(MODULES)
MYSQL = ("mysqlclient", "pymysql")
CELLS = (
    "bare/closed_in_child/*/*/tcp",
    "bare/closed_in_child/*/*/tls",
    "bare/dropped_in_child/*/*/tcp",
    "bare/dropped_in_child/mysqlclient/*/unix",
    "bare/shared_at_once/*/*/tcp",
    "bare/committed_in_child/*/*/tcp",
    "bare/discarded_in_child/*/*/tcp",
    "bare/discarded_in_child/*/*/tls",
    "django/closed_in_child/*/*/tcp",
    "sqlalchemy/closed_in_child/*/*/unix",
)


@dataclass(frozen=True)
class Story:
    """What is known of one cell."""

    observation: dict[str, Any]
    timeline: list[dict[str, Any]]

    def on(self, session: str, *, since: float = 0.0) -> list[dict[str, Any]]:
        """What clients said on a session, in order."""
        return [
            entry
            for entry in self.timeline
            if entry["session"] == session and "how" in entry and entry["kind"] == "message" and entry["at"] >= since
        ]

    def log(self, session: str) -> list[dict[str, Any]]:
        """What the server's log says of a session, in order."""
        return [e for e in self.timeline if e["session"] == session and e["text"].startswith("log: ")]

    def ended(self, who: str, text: str) -> dict[str, Any]:
        """The end of one process's step, whose text begins so."""
        found = [e for e in self.timeline if e["kind"] == "end" and e["who"] == who and e["text"].startswith(text)]
        assert found, f"{who} never ended {text}"
        return found[0]


Stories = dict[tuple[str, str, str, str], Story]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    """Every cell of CELLS, run once; keys are stack, example, driver and transport."""
    folder: Path = tmp_path_factory.mktemp("results")
    present = tuple(name for name, module in MODULES.items() if importlib.util.find_spec(module))
    report = run(Options(drivers=present, only=CELLS, repeat=1, output=folder))
    assert not report.broken
    return {
        (seen["stack"], seen["example"], seen["driver"], seen["transport"]): Story(seen, found["timeline"])
        for key, seen in report.observations.items()
        if (found := observations.read_evidence(folder, key))
    }


def told(stories: Stories, stack: str, example: str, driver: str, transport: str) -> Story:
    if importlib.util.find_spec(MODULES[driver]) is None:
        pytest.skip(f"{driver} is not installed here; nox -s tests installs it")
    if (stack, example, driver, transport) not in stories:
        pytest.skip("the server cannot be had here")
    return stories[stack, example, driver, transport]


def senders(entries: list[dict[str, Any]], text: str = "") -> list[str | None]:
    return [entry["who"] for entry in entries if text in entry["text"]]


# Closing.


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(("stack", "transport"), [("bare", "tcp"), ("django", "tcp"), ("sqlalchemy", "unix")])
def test_a_child_that_closes_says_goodbye_on_the_parents_session(
    stories: Stories, stack: str, transport: str, driver: str
) -> None:
    story = told(stories, stack, "closed_in_child", driver, transport)
    assert senders(story.on("A"), GOODBYES[driver]) == ["child 1"]


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_server_ends_the_parents_session_at_once_while_the_parent_waits(stories: Stories, driver: str) -> None:
    story = told(stories, "bare", "closed_in_child", driver, "tcp")
    (goodbye,) = [entry for entry in story.on("A") if entry["text"] == GOODBYES[driver]]
    (end,) = [e for e in story.timeline if e["session"] == "A" and e["who"] == "server" and e["text"] == "FIN"]
    assert goodbye["at"] <= end["at"] < story.ended("parent", "wait")["at"]


@pytest.mark.parametrize("driver", MYSQL)
def test_under_tls_mariadbs_own_log_says_that_the_parents_session_quit_while_the_parent_waited(
    stories: Stories, driver: str
) -> None:
    story = told(stories, "bare", "closed_in_child", driver, "tls")
    (quit_,) = [entry for entry in story.log("A") if entry["text"] == "log: Quit"]
    assert quit_["at"] < story.ended("parent", "wait")["at"]
    assert senders(story.on("A"), "could be COM_QUIT") == ["child 1"]


def test_under_tls_postgresqls_own_log_says_that_the_parents_session_ended_while_the_parent_waited(
    stories: Stories,
) -> None:
    story = told(stories, "bare", "closed_in_child", "psycopg", "tls")
    (end,) = [entry for entry in story.log("A") if "disconnection" in entry["text"]]
    assert end["at"] < story.ended("parent", "wait")["at"]
    assert senders(story.on("A"), "could be Terminate")[:1] == ["child 1"]


# Dropping.


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_a_child_that_drops_mysqlclients_connection_says_goodbye_on_the_parents_session(
    stories: Stories, transport: str
) -> None:
    story = told(stories, "bare", "dropped_in_child", "mysqlclient", transport)
    assert senders(story.on("A"), "COM_QUIT") == ["child 1"]
    assert [entry["text"] for entry in story.log("A")][-1] == "log: Quit"


@pytest.mark.parametrize("driver", ["pymysql", "psycopg"])
def test_a_child_that_drops_another_drivers_connection_sends_nothing_on_the_parents_session(
    stories: Stories, driver: str
) -> None:
    story = told(stories, "bare", "dropped_in_child", driver, "tcp")
    assert set(senders(story.on("A"))) == {"parent"}
    assert story.ended("parent", "look up 3")["session"] == "A"


# Sharing.


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_process_is_handed_the_answer_to_another_question(stories: Stories, driver: str) -> None:
    story = told(stories, "bare", "shared_at_once", driver, "tcp")
    asked = {
        entry["text"].removeprefix("look up "): entry["who"]
        for entry in story.timeline
        if entry["kind"] == "begin" and entry["text"].startswith("look up")
    }
    answers = [entry for entry in story.timeline if entry["session"] == "A" and " 1: (" in entry["text"]]
    stolen = 0
    for end in story.timeline:
        if end["kind"] != "end" or "question)" not in end["text"]:
            continue
        number = end["text"].partition("order ")[2].partition(",")[0]
        answer = [entry for entry in answers if entry["at"] <= end["at"]][-1]
        assert f"({number}, ...)" in answer["text"], "the row on the wire is the row that was read"
        assert answer["for"] == asked[number], "it answers the question of whoever asked for it"
        stolen += asked[number] != end["who"]
    assert stolen >= 4


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_parent_reads_the_answer_to_child_1(stories: Stories, driver: str) -> None:
    story = told(stories, "bare", "shared_at_once", driver, "tcp")
    end = story.ended("parent", "look up 2")
    assert end["text"] == "look up 2: order 101, session A (the answer to child 1's question)"
    question = next(entry for entry in story.on("A") if entry["who"] == "child 1")
    assert question["at"] < end["at"]


# Committing.


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_child_sends_commit_on_the_parents_session_and_the_server_confirms_it_to_the_child(
    stories: Stories, driver: str
) -> None:
    story = told(stories, "bare", "committed_in_child", driver, "tcp")
    (commit,) = [entry for entry in story.on("A") if '"COMMIT"' in entry["text"]]
    assert commit["who"] == "child 1"
    answer = next(e for e in story.timeline if e["session"] == "A" and "for" in e and e["at"] >= commit["at"])
    assert answer["for"] == "child 1"
    assert answer["text"].startswith(("OK", "CommandComplete COMMIT"))
    assert story.observation["server"]["committed"][0] == 1001


@pytest.mark.parametrize("driver", MYSQL)
def test_the_parents_rollback_reaches_mariadb_which_has_nothing_left_to_roll_back_but_1002(
    stories: Stories, driver: str
) -> None:
    story = told(stories, "bare", "committed_in_child", driver, "tcp")
    assert senders(story.on("A"), '"ROLLBACK"')[:1] == ["parent"]
    assert story.observation["server"]["committed"] == [1001]


def test_psycopgs_parent_sends_neither_begin_nor_rollback_after_the_childs_commit(stories: Stories) -> None:
    story = told(stories, "bare", "committed_in_child", "psycopg", "tcp")
    (commit,) = [entry for entry in story.on("A") if '"COMMIT"' in entry["text"]]
    insert = next(e for e in story.timeline if e["kind"] == "begin" and e["text"] == "insert 1002")
    said = [e["text"] for e in story.on("A", since=commit["at"]) if e["at"] <= story.ended("parent", "rollback")["at"]]
    assert not any("BEGIN" in text or "ROLLBACK" in text for text in said)
    assert [e for e in story.on("A", since=insert["at"]) if "INSERT" in e["text"]]
    assert story.observation["server"]["committed"] == [1001, 1002]


# Discarding.


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_child_that_discards_sends_nothing_at_all_on_the_parents_session(
    stories: Stories, driver: str, transport: str
) -> None:
    story = told(stories, "bare", "discarded_in_child", driver, transport)
    assert set(senders(story.on("A"))) == {"parent"}
    assert len(story.on("A")) >= 3


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_the_servers_log_knows_no_end_of_a_session_whose_child_discarded_before_its_parent_left(
    stories: Stories, driver: str, transport: str
) -> None:
    story = told(stories, "bare", "discarded_in_child", driver, transport)
    last = story.ended("parent", "look up 3")
    assert last["session"] == "A"
    ends = [entry for entry in story.log("A") if "onnect" not in entry["text"] or "disconnection" in entry["text"]]
    assert all(entry["at"] > last["at"] for entry in ends)
