"""What the SQLAlchemy examples share: a model, orders to look up, and a transcript.

The table `orders` holds the orders 1 to 499. The parent asks for orders below 100, child 1 for 101 to 199,
child 2 for 201 to 299 and so on, so that an order somebody else asked for is another process's answer.
Orders that an example writes are numbered from 1001.

Each step prints one line when it begins and one when it ends:

    12:30:01.500125 child 1  4712 look up 101
    12:30:01.500871 child 1  4712 look up 101: order 101, session 33

that is: time (UTC), process, its pid, the step and what it is about, then its result: `order N, session S`,
`nothing` where the answer held no row, `done`, or `raised` with the exception, its code and its first line.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    String,
    create_engine,
    exists,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

DATABASE_URL = os.environ.get("DATABASE_URL") or sys.exit("DATABASE_URL is not set, e.g. postgresql+psycopg://...")
ORDERS = 499


# Orders.


class Base(DeclarativeBase):
    """The declarative base."""


class Order(Base):
    """An order; examples look up the orders 1 to 499 and write new ones from 1001."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item: Mapped[str] = mapped_column(String(100))


def server_session(engine: Engine | Connection) -> Any:
    """Return the SQL function that gives the id of the server session a query runs on."""
    return func.pg_backend_pid() if engine.dialect.name == "postgresql" else func.connection_id()


def look_up(source: Engine | Connection | Session, number: int, *, held: bool = False) -> int | None:
    """Ask for one order and return the number of the order that came back.

    An engine or a connection is asked in a session that is closed again, a session in its own transaction. The answer
    to a `held` question stays on the server until it is released.
    """

    def ask(session: Session) -> Any:
        query = select(Order, server_session(session.get_bind())).where(Order.id == number)
        if held:
            query = query.add_columns(literal_column(_sql(session.get_bind(), "held")))
        return session.execute(query).first()

    def ask_source() -> Any:
        if isinstance(source, Session):
            return ask(source)
        with Session(source) as session:
            return ask(session)

    return step("look up", ask_source, about=number, result=_answer)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return step("read", next, rows, about=number, result=_answer)


def hold_answers() -> Connection:
    """Have the server hold back its answers to `held` questions, and return the connection that sees to it."""

    def hold() -> Connection:
        holder = create_engine(DATABASE_URL, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect()
        holder.execute(text(_sql(holder, "hold")))
        return holder

    return step("hold answers", hold)


def wait_until_asked(holder: Connection) -> None:
    """Wait until somebody's answer is held."""

    def watch() -> None:
        while not _sessions(holder)[0]:
            time.sleep(0.01)

    step("watch", watch)


def release_answer(holder: Connection) -> None:
    """Let one held answer go, as soon as there is one; where no other session is left, hold back none any more."""

    def release() -> None:
        held, others = _sessions(holder)
        while others and not held:
            time.sleep(0.01)
            held, others = _sessions(holder)
        # In between, the session that waits for the lock has got it and given it back.
        for what in ["release", "hold"] if held else ["release"]:
            holder.execute(text(_sql(holder, what)))

    step("release answer", release)


def _sessions(holder: Connection) -> tuple[int, int]:
    """Return how many sessions' answers are held, and how many other sessions there are."""
    held, others = holder.execute(text(_sql(holder, "waiting"))).one()
    return held, others


_SQL = {
    "postgresql": {
        "held": "pg_advisory_xact_lock(1)",
        "hold": "SELECT pg_advisory_lock(1)",
        "release": "SELECT pg_advisory_unlock(1)",
        "waiting": """
            SELECT COUNT(*) FILTER (WHERE wait_event = 'advisory'), COUNT(*) FROM pg_stat_activity
            WHERE datname = current_catalog AND pid <> pg_backend_pid()""",
    },
    "mysql": {
        "held": "GET_LOCK(DATABASE(), 60) AND RELEASE_LOCK(DATABASE())",
        "hold": "SELECT GET_LOCK(DATABASE(), 60)",
        "release": "SELECT RELEASE_LOCK(DATABASE())",
        "waiting": """
            SELECT COUNT(CASE WHEN state = 'User lock' THEN 1 END), COUNT(*) FROM information_schema.processlist
            WHERE db = DATABASE() AND id <> CONNECTION_ID()""",
    },
}


def _sql(engine: Engine | Connection, what: str) -> str:
    return _SQL["postgresql" if engine.dialect.name == "postgresql" else "mysql"][what]


def insert(session: Session, number: int) -> None:
    """Write one new order in the session's transaction, at once."""

    def write() -> None:
        session.add(Order(id=number, item="new"))
        session.flush()

    step("insert", write, about=number)


def check_out(engine: Engine) -> Connection:
    """Take a connection out of the engine's pool, and print whose session it is without asking the server."""

    def session(connection: Connection) -> tuple[Connection, str]:
        driver: Any = connection.connection.driver_connection
        number = driver.info.backend_pid if engine.dialect.name == "postgresql" else driver.thread_id()
        return connection, f"done, session {number}"

    return step("check out", engine.connect, result=session)


def show_transaction(session: Session) -> None:
    """Print what SQLAlchemy believes of the session's transaction, without asking the server."""

    def state() -> str:
        return "in transaction" if session.in_transaction() else "no transaction"

    step("transaction state", state, result=lambda state: (None, state))


def _answer(row: Any) -> tuple[Any, str]:
    if row is None:
        return None, "nothing"
    order, session, *_ = row
    number = order.id if isinstance(order, Order) else order
    return number, f"order {number}, session {session}"


def prepare() -> None:
    """Create and fill the table `orders` where it is missing, on a connection that is closed again."""

    def fill() -> str:
        engine = create_engine(DATABASE_URL, poolclass=NullPool)
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            if not session.scalar(select(exists(select(Order)))):
                rows = ", ".join(f"({number}, 'order {number}')" for number in range(1, ORDERS + 1))
                session.execute(text(f"INSERT INTO orders (id, item) VALUES {rows}"))
                session.commit()
            return _transport(session)

    step("prepare", fill, result=lambda transport: (None, f"done, over {transport}"))


def _transport(session: Session) -> str:
    """Return how the session reaches the server, as the server says: `tcp`, `tls` or `unix`."""
    if session.get_bind().dialect.name == "postgresql":
        query = "SELECT ssl, inet_server_addr() FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        encrypted, address = session.execute(text(query)).one()
        return "tls" if encrypted else "tcp" if address else "unix"
    if session.execute(text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")).one()[1]:
        return "tls"
    query = "SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()"
    return "tcp" if ":" in session.execute(text(query)).scalar_one() else "unix"


# Transcript.


def step(
    action: str,
    function: Callable[..., Any],
    *arguments: Any,
    about: int | None = None,
    result: Callable[[Any], tuple[Any, str]] = lambda value: (value, "done"),
    **options: Any,
) -> Any:
    """Call `function`, print how it went, and return what it returned, or None where it raised."""
    what = action if about is None else f"{action} {about}"
    say(what)
    try:
        value, outcome = result(function(*arguments, **options))
    except Exception as error:
        value, outcome = None, f"raised {describe(error)}"
    say(f"{what}: {outcome}")
    return value


def say(text: str) -> None:
    """Print one line of the transcript in a single write, so that processes never mix within a line."""
    line = f"{datetime.now(UTC):%H:%M:%S.%f} {_who():<8} {os.getpid()} {text}\n"
    sys.stdout.flush()
    os.write(1, line.encode())


def describe(error: BaseException) -> str:
    """Return an exception's class, its code (MySQL error number or SQLSTATE) and the first line of its text."""
    kind, cause = type(error), getattr(error, "orig", None) or error
    code = getattr(cause, "sqlstate", None) or (
        cause.args[0] if cause.args and isinstance(cause.args[0], int) else None
    )
    text = str(cause.args[1] if code and len(cause.args) > 1 else cause).strip().partition("\n")[0]
    return " ".join(filter(None, [f"{kind.__module__}.{kind.__qualname__}", str(code or "")])) + f": {text}"


_parent = os.getpid()
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(before=_count_fork)


def _who() -> str:
    """Name this process as its parent counts it: children are numbered in the order they are started."""
    if multiprocessing.parent_process() is not None:
        who = "child " + multiprocessing.current_process().name.rpartition("-")[2]
    else:
        who = "parent" if os.getpid() == _parent else f"child {_forks}"
    thread = threading.current_thread()
    return who if thread is threading.main_thread() else f"{who}/{thread.name}"


def wait_for(child: Any) -> None:
    """Wait for a child, a `Process` or the pid of a fork, and print how it left."""

    def wait() -> int:
        if isinstance(child, int):
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child.join()
        return child.exitcode

    step(
        "wait",
        wait,
        result=lambda code: (code, f"signal {signal.Signals(-code).name}" if code < 0 else f"exit {code}"),
    )
