"""One short phrase for an event, for timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matrix.records.wire import Event

STATEMENT_WIDTH = 60
"""Characters of a statement that a phrase shows."""


def describe(event: Event) -> str:
    """Return a phrase such as `COM_QUIT`, `COM_QUERY "SELECT ..."`, `rows 1: (101, ...)` or `FIN`.

    It is one line, and says neither who sent the event nor when. Works for any event, whatever its detail
    lacks.
    """
    name, detail = event["name"], event["detail"]
    match event["kind"]:
        case "fin":
            return "FIN"
        case "rst":
            error = detail.get("error", "ECONNRESET")
            return "RST" if error == "ECONNRESET" else f"RST ({error})"
        case "connect":
            return "connect"
        case "refused":
            return f"the server refuses the connection{_of(detail, ' ({})', 'error')}"
        case "tls":
            phrase = _tls(name, event["length"], detail)
        case "undecoded":
            count = f"{event['length']} bytes not decoded"
            phrase = count if name == "undecoded" else f"{count} ({name})"
        case "omitted":
            phrase = f"{detail.get('events', '?')} events not kept"
        case _:
            phrase = _PHRASES.get(name, _plain)(name, detail)
    if "sequence" in detail:
        phrase += f" (sequence number: {detail['sequence']})"
    if "cut_off_by" in detail:
        phrase += f" (cut off by {detail['cut_off_by']})"
    return one_line(phrase)


def one_line(text: str) -> str:
    """Return the text with white space run together and other control characters as escapes."""
    text = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, width: int = STATEMENT_WIDTH) -> str:
    """Return one line of at most `width` characters, without the middle: a statement's end says most."""
    text = one_line(text)
    if len(text) <= width:
        return text
    head = (width - 3) * 2 // 5
    return f"{text[:head]}...{text[head + 3 - width :]}"


def _of(detail: Mapping[str, Any], pattern: str, *keys: str) -> str:
    """Fill the pattern with the values, or return nothing where one is missing or empty."""
    values = [detail.get(key) for key in keys]
    return "" if any(value in (None, "") for value in values) else pattern.format(*values)


def _plain(name: str, _: Mapping[str, Any]) -> str:
    return name


def _tls(name: str, length: int, detail: Mapping[str, Any]) -> str:
    if detail.get("alert"):
        return f"TLS alert {detail['alert']}"
    if detail.get("messages"):
        return f"TLS {', '.join(detail['messages'])}{_of(detail, ' ({})', 'version')}"
    if not detail.get("encrypted"):
        return f"TLS {name}"
    guess = _of(detail, " (could be {})", "could_be")
    return f"TLS {name}, encrypted, {length} bytes{guess}"


def _statement(name: str, detail: Mapping[str, Any]) -> str:
    return f'{name} "{shorten(detail["text"])}"' if detail.get("text") else name


def _value(value: object) -> str:
    return repr(shorten(value, 30)) if isinstance(value, str) else "NULL" if value is None else str(value)


def _rows(name: str, detail: Mapping[str, Any]) -> str:
    count = detail.get("rows", 0)
    label = "rows" if name == "rows" else f"{name} x"
    if not count:
        return f"{label} 0"
    more = "" if detail.get("column_count") == 1 else ", ..."
    phrase = f"{label} {count}: ({_value(detail.get('first'))}{more})"
    if count > 1:
        phrase += f" to ({_value(detail.get('last'))}{more})"
    return phrase


def _error(name: str, detail: Mapping[str, Any]) -> str:
    if name == "ERR":
        code = f"ERR {detail.get('code', '?')}{_of(detail, ' ({})', 'sqlstate')}"
    else:
        code = f"{name}{_of(detail, ' {}', 'severity')}{_of(detail, ' {}', 'sqlstate')}"
    return f"{code}{_of(detail, ' {}', 'message')}"


def _status(name: str, detail: Mapping[str, Any]) -> str:
    affected = f" {detail['affected']} affected" if detail.get("affected") else ""
    return f"{name}{affected}{' (in transaction)' if detail.get('in_transaction') else ''}"


def _ready(name: str, detail: Mapping[str, Any]) -> str:
    states = {"I": "idle", "T": "in transaction", "E": "in failed transaction"}
    return f"{name} ({states.get(detail.get('state', ''), '?')})"


def _login(name: str, detail: Mapping[str, Any]) -> str:
    return f"{name}{_of(detail, ' {}', 'user')}{_of(detail, ' on {}', 'database')}"


def _session(name: str, detail: Mapping[str, Any]) -> str:
    return f"{name}{_of(detail, ' {}', 'version')}{_of(detail, ', session {}', 'session')}"


def _number(name: str, detail: Mapping[str, Any]) -> str:
    return f"{name}{_of(detail, ' {}', 'statement')}"


def _prepared(name: str, detail: Mapping[str, Any]) -> str:
    return f"{name}{_of(detail, ' {}', 'statement')}{_of(detail, ', {} parameters', 'parameters')}"


def _parameters(name: str, detail: Mapping[str, Any]) -> str:
    count = detail.get("parameters")
    if not count:
        return name
    return f"{name} ({_value(detail.get('first'))}{', ...' if count > 1 else ''})"


def _columns(name: str, detail: Mapping[str, Any]) -> str:
    return f"{name} ({shorten(', '.join(detail.get('columns', ())))})"


_PHRASES: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
    "AuthSwitchRequest": lambda name, detail: f"{name}{_of(detail, ' {}', 'plugin')}",
    "BackendKeyData": _session,
    "Bind": _parameters,
    "CancelRequest": _session,
    "COM_CHANGE_USER": _login,
    "COM_INIT_DB": lambda name, detail: f"{name}{_of(detail, ' {}', 'database')}",
    "COM_PROCESS_KILL": _session,
    "COM_QUERY": _statement,
    "COM_STMT_CLOSE": _number,
    "COM_STMT_EXECUTE": _number,
    "COM_STMT_FETCH": _number,
    "COM_STMT_PREPARE": _statement,
    "CommandComplete": lambda name, detail: f"{name}{_of(detail, ' {}', 'tag')}",
    "CopyData": lambda name, detail: f"{name} x {detail.get('messages', 1)}",
    "DataRow": _rows,
    "EOF": _status,
    "ERR": _error,
    "ErrorResponse": _error,
    "HandshakeResponse": _login,
    "LOCAL INFILE": lambda name, detail: f"{name}{_of(detail, ' {}', 'file')}",
    "NoticeResponse": _error,
    "OK": _status,
    "ParameterStatus": lambda name, detail: f"{name}{_of(detail, ' {} = {}', 'parameter', 'value')}",
    "Parse": _statement,
    "Query": _statement,
    "ReadyForQuery": _ready,
    "RowDescription": _columns,
    "SASLInitialResponse": lambda name, detail: f"{name}{_of(detail, ' {}', 'mechanism')}",
    "StartupMessage": _login,
    "greeting": _session,
    "prepared": _prepared,
    "rows": _rows,
}
