"""What PostgreSQL writes into its log about sessions."""

from __future__ import annotations

import re
from datetime import datetime

from matrix.records.server import LogLine

_LINE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<time>[\d:.]+) UTC \[(?P<pid>\d+)\] db=(?P<db>[^,]*),user=[^,]*,app=.*? "
    r"(?P<level>LOG|WARNING|ERROR|FATAL|PANIC): +(?P<text>.*)"
)


def log_lines(log: str, database: str) -> list[LogLine]:
    """Return what the log says about the sessions in a database: the id of a session is its process's."""
    lines = [match for line in log.splitlines() if (match := _LINE.fullmatch(line))]
    sessions = {match["pid"] for match in lines if match["db"] == database}
    found = []
    for match in lines:
        if match["pid"] not in sessions:
            continue
        at = datetime.fromisoformat(f"{match['day']} {match['time']}+00:00").timestamp()
        port = re.search(r"\bport=(\d+)", match["text"])
        text = re.sub(r" user=\S+ database=\S+.*| (host|port)=\S+", "", match["text"])
        text = re.sub(r"(session time): \S+", r"\1", text).removesuffix(": session time").rstrip(":")
        level = "" if match["level"] == "LOG" else f"{match['level']}: "
        found.append(LogLine(at, int(match["pid"]), level + text, int(port[1]) if port else None))
    return [word for word in found if not word.text.startswith(("connection authenticated", "connection authorized"))]
