"""Orders are looked up here, the first one when this module is imported."""

import sqlalchemy
from sqlalchemy import literal_column, select, text
from sqlalchemy.orm import Session

from example_support.driver import protocol
from example_support.identity import announce
from example_support.transcript import read_order
from shop.db import engine
from sqlalchemy_examples.helper import SERVER_SESSION, Order


def look_up(number):
    """Look up an order and return its number."""

    def ask():
        with Session(engine) as session:
            order = select(Order.id, SERVER_SESSION, literal_column(protocol.PAUSE)).where(Order.id == number)
            row = session.execute(order).first()
        return row and tuple(row)[:2]

    return read_order("look up", ask, number)


with engine.connect() as connection:
    announce(
        connection.connection.driver_connection,
        lambda query: connection.execute(text(query)).one(),
        stack=f"SQLAlchemy {sqlalchemy.__version__}",
    )
look_up(1)
