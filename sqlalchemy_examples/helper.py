"""What the SQLAlchemy examples share: a model, and orders to look up.

The table `orders` holds the orders 1 to 499. The parent looks up orders below 100, child 1 looks up 101 to 199,
child 2 looks up 201 to 299 and so on: an order that a process did not look up is another process's result.
Orders that an example writes are numbered from 1001.
"""

import os
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import (
    BigInteger,
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

from example_support import replies, transcript
from example_support.driver import connection as driver
from example_support.driver import protocol, use
from example_support.identity import report_identity
from example_support.replies import release_reply, wait_until_held
from example_support.transcript import step, wait_for

__all__ = [
    "DATABASE_URL",
    "SERVER_SESSION",
    "Order",
    "check_out",
    "count",
    "descriptor",
    "hold_replies",
    "insert",
    "look_up",
    "prepare",
    "read",
    "release_reply",
    "show_transaction",
    "step",
    "update",
    "wait_for",
    "wait_until_held",
]

DATABASE_URL = os.environ["DATABASE_URL"]
ORDERS = 499
#: The id of the server session that a query runs on.
SERVER_SESSION = literal_column(protocol.SESSION_ID, BigInteger)

# No other query tells the session which objects an UPDATE has changed.
_UNSYNCHRONISED = {"synchronize_session": False}

if setup := use("sqlalchemy").get("setup"):
    pkgutil.resolve_name(setup)()
# None if the driver has none; examples that need it say so.
descriptor: Any = getattr(driver, "descriptor", None)
# SQLAlchemy raises an exception of its own in place of the driver's.
transcript.original = lambda error: getattr(error, "orig", None) or error


class Base(DeclarativeBase):
    """The declarative base."""


class Order(Base):
    """An order; examples look up the orders 1 to 499 and write new ones from 1001."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item: Mapped[str] = mapped_column(String(100))


def look_up(source: Engine | Connection | Session, number: int, *, held: bool = False) -> int | None:
    """Look up one order, and return the number of the order that came.

    An engine or a connection is used in a session that is closed again, a session in its own transaction. The reply to
    a `held` query stays on the server until it is released.
    """

    def ask(session: Session) -> Any:
        query = select(Order, SERVER_SESSION).where(Order.id == number)
        if held:
            query = query.add_columns(literal_column(protocol.HELD))
        return _order(session.execute(query).first())

    def ask_source() -> Any:
        if isinstance(source, Session):
            return ask(source)
        with Session(source) as session:
            return ask(session)

    return transcript.read_order("look up", ask_source, number)


def read(rows: Iterator[Any], number: int) -> int | None:
    """Read on in `rows`, where order `number` is next, and return the number of the order that came."""
    return transcript.read_order("read", lambda: _order(next(rows)), number)


def _order(row: Any) -> tuple[Any, Any] | None:
    if row is None:
        return None
    order, session, *_ = row
    return order.id if isinstance(order, Order) else order, session


def hold_replies() -> replies.Holder:
    """Have the server hold back its replies to `held` queries, and return what releases them."""

    def connect() -> Callable[[str], Any]:
        return _query(create_engine(DATABASE_URL, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect())

    return replies.hold_replies(connect)


def insert(session: Session, number: int) -> None:
    """Write one new order in the session's transaction, at once."""

    def write() -> None:
        session.add(Order(id=number, item="new"))
        session.flush()

    step("insert", write, about=number)


def update(session: Session, number: int) -> None:
    """Update one order in the session's transaction; the reply stays on the server until it is released."""
    statement = sqlalchemy.update(Order).where(Order.id == number, literal_column(protocol.HELD).is_not(None))
    step("update", session.execute, statement.values(item="sold"), about=number, execution_options=_UNSYNCHRONISED)


def count(session: Session, number: int) -> None:
    """Count the orders with one number; the reply stays on the server until it is released."""
    held = literal_column(protocol.HELD).is_not(None)
    step("count", session.scalar, select(func.count()).where(Order.id == number, held), about=number)


def check_out(engine: Engine) -> Connection:
    """Take a connection out of the engine's pool, and report its session without querying the server."""

    def session(connection: Connection) -> transcript.Result:
        return transcript.done(driver.session_id(connection.connection.driver_connection))

    return step("check out", engine.connect, result=session)


def show_transaction(session: Session) -> None:
    """Report the transaction state that the `Session` records, without querying the server."""

    def state() -> str:
        return "in transaction" if session.in_transaction() else "no transaction"

    step("transaction state", state, result=transcript.state)


def prepare() -> None:
    """Create and fill the table `orders` if there is none, on a connection that is closed again."""

    def fill() -> str:
        engine = create_engine(DATABASE_URL, poolclass=NullPool)
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            if not session.scalar(select(exists(select(Order)))):
                rows = ", ".join(f"({number}, 'order {number}')" for number in range(1, ORDERS + 1))
                session.execute(text(f"INSERT INTO orders (id, item) VALUES {rows}"))
                session.commit()
            query = _query(session)
            over = protocol.transport(query)
            connection = session.connection().connection.driver_connection
            report_identity(connection, query, stack=f"SQLAlchemy {sqlalchemy.__version__}")
            return over

    step("prepare", fill, result=lambda over: transcript.done(text=over))


def _query(source: Connection | Session) -> Callable[[str], Any]:
    """Return a function that runs a query on a connection or in a session and returns its only row."""
    return lambda sql: source.execute(text(sql)).one()
