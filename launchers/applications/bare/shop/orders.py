"""Orders are looked up here, the first one when this module is imported."""

from example_support.driver import protocol
from example_support.identity import announce
from example_support.transcript import read_order
from shop import db


def query(sql):
    """Return the first row that a query selects."""
    cursor = db.connected().cursor()
    cursor.execute(sql)
    return cursor.fetchone()


def look_up(number):
    """Look up an order and return its number."""

    def ask():
        row = query(f"SELECT id, {protocol.SESSION_ID}, {protocol.PAUSE} FROM orders WHERE id = {number:d}")
        return row and row[:2]

    return read_order("look up", ask, number)


announce(db.connected(), query, stack="bare")
look_up(1)
