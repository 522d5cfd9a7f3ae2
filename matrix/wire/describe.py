"""One short phrase for an event, for timelines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.records.wire import Event

STATEMENT_WIDTH = 60
"""Characters of a statement that a phrase shows."""


def describe(event: Event) -> str:
    """Return a phrase such as `COM_QUIT`, `COM_QUERY "SELECT ..."`, `rows 1: (101, ...)` or `FIN`.

    It is one line, and says neither who sent the event nor when. Works for any event, whatever it lacks.
    """
    match event.kind:
        case "fin":
            return "FIN"
        case "rst":
            return "RST" if event.error in (None, "ECONNRESET") else f"RST ({event.error})"
        case "connect":
            return "connect"
        case "refused":
            return f"the server refuses the connection{_of(' ({})', event.error)}"
        case "tls":
            phrase = _tls(event)
        case "undecoded":
            count = f"{event.length} bytes not decoded"
            phrase = count if event.name == "undecoded" else f"{count} ({event.name})"
        case "omitted":
            phrase = f"{_or_unknown(event.events)} events not recorded"
        case _:
            phrase = event.name + _PHRASES.get(event.name, _nothing)(event)
    if event.sequence:
        phrase += f" (sequence number: {event.sequence})"
    if event.cut_off_by:
        phrase += f" (cut off by {event.cut_off_by})"
    return one_line(phrase)


def one_line(text: str) -> str:
    """Return the text with white space run together and other control characters as escapes."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, width: int = STATEMENT_WIDTH) -> str:
    """Return one line of at most `width` characters, without the middle: a statement's end says most."""
    text = one_line(text)
    if len(text) <= width:
        return text
    head = (width - 3) * 2 // 5
    return f"{text[:head]}...{text[head + 3 - width :]}"


def _of(pattern: str, *values: object) -> str:
    """Fill the pattern with the values, or return nothing if one is missing or empty."""
    return "" if any(value in (None, "") for value in values) else pattern.format(*values)


def _or_unknown(value: object) -> object:
    return "?" if value is None else value


def _nothing(_: Event) -> str:
    return ""


def _tls(event: Event) -> str:
    if event.alert:
        return f"TLS alert {event.alert}"
    if event.handshake:
        return f"TLS {', '.join(event.handshake)}{_of(' ({})', event.version)}"
    if not event.encrypted:
        return f"TLS {event.name}"
    return f"TLS {event.name}, encrypted, {event.length} bytes{_of(' (could be {})', event.could_be)}"


def _statement(event: Event) -> str:
    return f' "{shorten(event.text)}"' if event.text else ""


def _value(value: object) -> str:
    return repr(shorten(value, 30)) if isinstance(value, str) else "NULL" if value is None else str(value)


def _rows(event: Event) -> str:
    label = "" if event.name == "rows" else " x"
    if not event.rows:
        return f"{label} 0"
    more = "" if event.column_count == 1 else ", ..."
    last = f" to ({_value(event.last)}{more})" if event.rows > 1 else ""
    return f"{label} {event.rows}: ({_value(event.first)}{more}){last}"


def _error(event: Event) -> str:
    if event.name == "ERR":
        code = f" {_or_unknown(event.code)}{_of(' ({})', event.sqlstate)}"
    else:
        code = f"{_of(' {}', event.severity)}{_of(' {}', event.sqlstate)}"
    return f"{code}{_of(' {}', event.message)}"


def _status(event: Event) -> str:
    affected = f" {event.affected} affected" if event.affected else ""
    return f"{affected}{' (in transaction)' if event.in_transaction else ''}"


def _ready(event: Event) -> str:
    states = {"I": "idle", "T": "in transaction", "E": "in failed transaction"}
    return f" ({states.get(event.state or '', '?')})"


def _login(event: Event) -> str:
    return f"{_of(' {}', event.user)}{_of(' on {}', event.database)}"


def _session(event: Event) -> str:
    return f"{_of(' {}', event.version)}{_of(', session {}', event.session)}"


def _number(event: Event) -> str:
    return _of(" {}", event.statement)


def _prepared(event: Event) -> str:
    return f"{_number(event)}{_of(', {} parameters', event.parameters)}"


def _parameters(event: Event) -> str:
    if not event.parameters:
        return ""
    return f" ({_value(event.first)}{', ...' if event.parameters > 1 else ''})"


_PHRASES: dict[str, Callable[[Event], str]] = {
    "AuthSwitchRequest": lambda event: _of(" {}", event.plugin),
    "BackendKeyData": _session,
    "Bind": _parameters,
    "CancelRequest": _session,
    "COM_CHANGE_USER": _login,
    "COM_INIT_DB": lambda event: _of(" {}", event.database),
    "COM_PROCESS_KILL": _session,
    "COM_QUERY": _statement,
    "COM_STMT_CLOSE": _number,
    "COM_STMT_EXECUTE": _number,
    "COM_STMT_FETCH": _number,
    "COM_STMT_PREPARE": _statement,
    "CommandComplete": lambda event: _of(" {}", event.tag),
    "CopyData": lambda event: f" x {event.copies or 1}",
    "DataRow": _rows,
    "EOF": _status,
    "ERR": _error,
    "ErrorResponse": _error,
    "HandshakeResponse": _login,
    "LOCAL INFILE": lambda event: _of(" {}", event.file),
    "NoticeResponse": _error,
    "OK": _status,
    "ParameterStatus": lambda event: _of(" {} = {}", event.parameter, event.value),
    "Parse": _statement,
    "Query": _statement,
    "ReadyForQuery": _ready,
    "RowDescription": lambda event: f" ({shorten(', '.join(event.columns or ()))})",
    "SASLInitialResponse": lambda event: _of(" {}", event.mechanism),
    "StartupMessage": _login,
    "greeting": _session,
    "prepared": _prepared,
    "rows": _rows,
}
