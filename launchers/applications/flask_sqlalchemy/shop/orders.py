"""Orders are looked up here."""

import sqlalchemy
from sqlalchemy import literal_column, select, text

from example_support.driver import protocol
from example_support.identity import announce
from example_support.transcript import read_order
from shop.db import db
from sqlalchemy_examples.helper import SERVER_SESSION, Order


def look_up(number):
    """Look up an order and return its number."""

    def ask():
        order = select(Order.id, SERVER_SESSION, literal_column(protocol.PAUSE)).where(Order.id == number)
        row = db.session.execute(order).first()
        return row and tuple(row)[:2]

    return read_order("look up", ask, number)


def introduce():
    """Report what the program uses."""
    announce(
        db.session.connection().connection.driver_connection,
        lambda query: db.session.execute(text(query)).one(),
        stack=f"SQLAlchemy {sqlalchemy.__version__}",
    )
