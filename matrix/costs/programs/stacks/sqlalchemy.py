"""SQLAlchemy. A unit of work is a session that gets one order and is closed."""

from functools import partial
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import DATABASE_URL, Order, prepare

__all__ = ["TITLES", "WAYS", "look_up", "open_connections", "prepare"]


engine = create_engine(DATABASE_URL)


def look_up(number: int, engine: Engine = engine) -> None:
    """Get one order in a session of its own."""
    with Session(engine) as session:
        order = session.get(Order, number)
        assert order is not None
        assert order.id == number


WAYS = {
    "open": look_up,
    "health_check": partial(look_up, engine=create_engine(DATABASE_URL, pool_pre_ping=True)),
    "connect": partial(look_up, engine=create_engine(DATABASE_URL, poolclass=NullPool)),
}
TITLES = {"open": "the default pool", "health_check": "`pool_pre_ping`", "connect": "`NullPool`"}


def open_connections(count: int) -> list[Any]:
    """Open connections that forked processes discard, all of one pool, and return what keeps them open."""
    from sqlalchemy_examples.discarded_at_fork import install  # noqa: PLC0415 - only one program needs the pattern

    install()
    engine = create_engine(DATABASE_URL, pool_size=count)
    opened = [engine.connect() for _ in range(count)]
    for connection in opened:
        connection.close()
    return [engine]
