"""The facts that the pages rest on, from the wire and from the server's log, on real servers with the real drivers.

Session A is the parent's in all of these examples: it is the first that the steps name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from matrix.catalogue import drivers
from matrix.run.environment import environment, interpreter
from matrix.run.options import Options
from matrix.run.runner import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matrix.records.evidence import Entry
    from matrix.records.observation import Observation

DRIVERS = drivers()
#: The message by which a client ends its session.
TERMINATION = {"mysql": "COM_QUIT", "postgresql": "Terminate"}
CELLS = (
    "bare/closed_in_child/*/*/tcp",
    "bare/closed_in_child/*/*/tls",
    "bare/dropped_in_child/*/*/tcp",
    "bare/shared_at_once/*/*/tcp",
    "bare/committed_in_child/*/*/tcp",
    "bare/discarded_in_child/*/*/tcp",
    "bare/discarded_in_child/*/*/tls",
    "django/closed_in_child/*/*/tcp",
    "sqlalchemy/closed_in_child/*/*/unix",
)
CHILD = "child 1"

every_driver = pytest.mark.parametrize("driver", DRIVERS)
with_and_without_tls = pytest.mark.parametrize("transport", ["tcp", "tls"])


@dataclass(frozen=True)
class Story:
    """What is known of one cell."""

    seen: Observation
    timeline: list[Entry]

    def sent(self, session: str, *, since: float = 0.0) -> list[Entry]:
        """What clients sent on a session, in order."""
        entries = (e for e in self.timeline if e.session == session and e.kind == "message" and e.how)
        return [entry for entry in entries if entry.at >= since]

    def answered(self, sent: Entry) -> bool:
        """Whether the session's next event after what a client sent is a server's message that is not its farewell."""
        entries = self.timeline[self.timeline.index(sent) + 1 :]
        after = (e for e in entries if e.session == sent.session and e.kind in ("message", "socket"))
        following = next(after, None)
        return (
            following is not None
            and (following.kind, following.who) == ("message", "server")
            and "could be an alert" not in following.text
        )

    def closed(self, session: str, since: Entry, until: Entry) -> list[str | None]:
        """Which clients' ends of a session's socket were closed or shut down between two moments, in order."""
        entries = (e for e in self.timeline if e.session == session and e.closes and e.who != "server")
        return [entry.who for entry in entries if since.at <= entry.at <= until.at]

    def log(self, session: str, since: Entry, until: Entry) -> list[str]:
        """What the server's log says of a session between two moments, in order."""
        entries = (
            e for e in self.timeline if e.session == session and e.kind == "server" and e.text.startswith("log:")
        )
        return [entry.text for entry in entries if since.at <= entry.at <= until.at]

    def began(self, who: str, step: str) -> Entry:
        """The beginning of a process's step."""
        return next(e for e in self.timeline if (e.kind, e.who, e.text) == ("begin", who, step))

    def ended(self, who: str, step: str) -> Entry:
        """The end of a process's step."""
        return next(e for e in self.timeline if (e.kind, e.who, e.step) == ("end", who, step))


Stories = dict[tuple[str, str, str, str], Story]


@pytest.fixture(scope="module")
def stories(tmp_path_factory: pytest.TempPathFactory) -> Stories:
    """Every cell of CELLS, run once; keys are stack, example, driver and transport."""
    pythons = {name: interpreter(name) for name in DRIVERS}
    present = tuple(name for name, driver in DRIVERS.items() if environment(pythons[name]).has(driver))
    output = tmp_path_factory.mktemp("results")
    summary = run(Options(drivers=present, only=CELLS, repeat=1, output=output, pythons=pythons))
    assert not summary.broken
    return {
        (seen.cell.stack, seen.cell.example, seen.cell.driver, seen.cell.transport): Story(
            seen, summary.evidence[key].timeline
        )
        for key, seen in summary.observations.items()
        if key in summary.evidence
    }


def story_of(stories: Stories, stack: str, example: str, driver: str, transport: str) -> Story:
    if (stack, example, driver, transport) not in stories:
        pytest.skip(f"{driver} or its server is unavailable here")
    return stories[stack, example, driver, transport]


def senders(entries: Iterable[Entry], text: str = "") -> list[str | None]:
    return [entry.who for entry in entries if text in entry.text]


def termination(driver: str) -> str:
    return TERMINATION[DRIVERS[driver].facts.protocol]


# Closing.


@every_driver
@pytest.mark.parametrize(("stack", "transport"), [("bare", "tcp"), ("django", "tcp"), ("sqlalchemy", "unix")])
def test_a_child_that_closes_sends_the_termination_message_on_the_parents_session(
    stories: Stories, stack: str, transport: str, driver: str
) -> None:
    story = story_of(stories, stack, "closed_in_child", driver, transport)
    (message,) = [entry for entry in story.sent("A") if termination(driver) in entry.text]
    # The sender may be unknown, as both hold the connection; but the parent does nothing while it waits.
    assert message.who in (CHILD, None)
    assert story.began(CHILD, "close").at <= message.at < story.ended("parent", "wait").at


@every_driver
def test_the_server_ends_the_parents_session_at_once_while_the_parent_waits(stories: Stories, driver: str) -> None:
    story = story_of(stories, "bare", "closed_in_child", driver, "tcp")
    (message,) = [entry for entry in story.sent("A") if entry.text == termination(driver)]
    (end,) = [e for e in story.timeline if e.session == "A" and e.who == "server" and e.closes]
    assert message.at <= end.at < story.ended("parent", "wait").at


@every_driver
def test_under_tls_the_servers_log_says_that_the_parents_session_ended_while_the_parent_waited(
    stories: Stories, driver: str
) -> None:
    story = story_of(stories, "bare", "closed_in_child", driver, "tls")
    # Whatever is as short could be it, such as a ping that the parent sent earlier: this is the first since the step.
    message = story.sent("A", since=story.began(CHILD, "close").at)[0]
    assert message.who in (CHILD, None)
    assert message.at < story.ended("parent", "wait").at
    assert f"could be {termination(driver)}" in message.text
    assert not story.answered(message)
    # PostgreSQL's log cuts times to milliseconds, which may put them before the child's step.
    assert story.log("A", story.ended("parent", "look up 1"), story.ended("parent", "wait"))


# Dropping.


@every_driver
def test_a_child_that_drops_the_connection_does_nothing_or_ends_the_session_by_a_message_or_by_shutting_down_the_socket(
    stories: Stories, driver: str
) -> None:
    story = story_of(stories, "bare", "dropped_in_child", driver, "tcp")
    by_child = [entry.text for entry in story.sent("A") if entry.who != "parent"]
    forks, waited = story.ended("parent", "look up 1"), story.ended("parent", "wait")
    closed, logged = story.closed("A", forks, waited), story.log("A", forks, waited)
    if story.seen.outcome == "works":
        assert (by_child, closed, logged) == ([], [], [])
    else:
        # A socket that the parent holds too does not end because the child closes its descriptor: it was shut down.
        assert by_child == [termination(driver)] or (by_child, closed) == ([], [CHILD])
        assert logged


# Sharing.


@every_driver
def test_each_process_reads_the_reply_to_another_query(stories: Stories, driver: str) -> None:
    story = story_of(stories, "bare", "shared_at_once", driver, "tcp")
    began = {step.about: step.who for step in story.seen.steps if step.action == "look up" and step.result is None}
    wrong = [step for step in story.seen.steps if step.wrong]
    # A driver that notices raises instead.
    raised = {step.who for step in story.seen.steps if step.action == "look up" and step.exception}
    assert {step.who for step in wrong} >= set(began.values()) - raised
    assert bool(wrong) is (story.seen.outcome == "wrong row")
    for step in (each for each in wrong if each.order in began):
        replies = [e for e in story.timeline if e.session == "A" and f"({step.order}, ...)" in e.text]
        assert [entry.reply_to for entry in replies] == [began[step.order]]
        assert replies[0].at <= story.ended(step.who, step.name).at


@every_driver
def test_the_parent_reads_the_reply_to_child_1(stories: Stories, driver: str) -> None:
    story = story_of(stories, "bare", "shared_at_once", driver, "tcp")
    end = story.ended("parent", "look up 2")
    if end.went_wrong and "raised" in end.text:
        return  # the driver noticed that the reply is not the parent's
    assert end.text == "order 101, session A (reply to child 1's query)"
    assert next(entry for entry in story.sent("A") if entry.who == CHILD).at < end.at


# Committing.


@every_driver
def test_the_child_sends_commit_on_the_parents_session_and_the_server_confirms_it_to_the_child(
    stories: Stories, driver: str
) -> None:
    story = story_of(stories, "bare", "committed_in_child", driver, "tcp")
    (commit,) = [entry for entry in story.sent("A") if '"COMMIT"' in entry.text.upper()]
    assert commit.who == CHILD
    replies = [e for e in story.timeline if e.session == "A" and e.reply_to and e.at >= commit.at]
    reply = next(entry for entry in replies if entry.text.startswith("OK") or "CommandComplete COMMIT" in entry.text)
    assert reply.reply_to == CHILD
    assert (story.seen.server.committed or [0])[0] == 1001


@every_driver
def test_what_the_parent_inserts_after_the_childs_commit_stays_unless_it_opened_a_transaction_on_the_server(
    stories: Stories, driver: str
) -> None:
    story = story_of(stories, "bare", "committed_in_child", driver, "tcp")
    since, until = story.began("parent", "insert 1002").at, story.ended("parent", "insert 1002").at
    sent = [entry.text for entry in story.sent("A", since=since) if entry.who == "parent" and entry.at <= until]
    assert any("INSERT" in text for text in sent)
    assert not any("BEGIN" in text for text in sent), "the driver believes to be in a transaction"
    replies = [e.text for e in story.timeline if e.session == "A" and e.reply_to and since <= e.at <= until]
    # Without a BEGIN, PostgreSQL commits it at once; a session of MySQL that has autocommit off opens a transaction.
    assert story.seen.server.committed == ([1001] if "(in transaction)" in replies[-1] else [1001, 1002])


# Discarding.


@every_driver
@with_and_without_tls
def test_a_child_that_discards_sends_nothing_at_all_on_the_parents_session(
    stories: Stories, driver: str, transport: str
) -> None:
    story = story_of(stories, "bare", "discarded_in_child", driver, transport)
    sent = story.sent("A")
    unknown = [entry for entry in sent if entry.who is None]
    assert set(senders(sent)) - {None} == {"parent"}
    assert len(sent) - len(unknown) >= 3
    # An encrypted ping could be the termination message of a child that is exiting; that would get no answer.
    steps = [(story.began("parent", name), story.ended("parent", name)) for name in ("look up 2", "look up 3")]
    for entry in unknown:
        assert any(begin.at <= entry.at <= end.at for begin, end in steps), "the parent is not querying"
        assert story.answered(entry)


@every_driver
@with_and_without_tls
def test_the_servers_log_says_nothing_of_a_session_that_a_child_discarded_before_its_parent_exits(
    stories: Stories, driver: str, transport: str
) -> None:
    story = story_of(stories, "bare", "discarded_in_child", driver, transport)
    assert story.seen.parent.session == "same"
    assert story.log("A", story.ended("parent", "look up 1"), story.ended("parent", "look up 3")) == []
