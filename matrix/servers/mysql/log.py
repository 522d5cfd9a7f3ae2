"""What MySQL writes into its general log and its error log about sessions."""

from __future__ import annotations

import re

from matrix.records.server import LogLine

_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"
_COMMAND = re.compile(rf"{_TIME}\t *(?P<session>\d+) (?P<command>Connect|Quit)\t(?P<text>.*)")
_ABORTED = re.compile(
    rf"{_TIME} \d+ \[\w+\] .*Aborted connection (?P<session>\d+) to db: '(?P<db>[^']*)'.*(?P<why>\(.*\))"
)


def log_lines(log: str, database: str) -> list[LogLine]:
    """Return what the general log and the error log say about the sessions in a database."""
    found: list[LogLine] = []
    sessions: set[int] = set()
    for line in log.splitlines():
        if match := _COMMAND.fullmatch(line):
            session = int(match["session"])
            if match["command"] == "Connect" and f" on {database} " in match["text"] + " ":
                sessions.add(session)
                found.append(LogLine(None, session, f"Connect, {match['text'].rpartition(' using ')[2]}"))
            elif match["command"] == "Quit" and session in sessions:
                found.append(LogLine(None, session, "Quit"))
        elif (match := _ABORTED.match(line)) and match["db"] == database:
            found.append(LogLine(None, int(match["session"]), f"Aborted connection {match['why']}"))
    return found
