"""Orders are looked up here."""

from shop import db


def look_up(number):
    """Return the item of an order, None if there is no such order."""
    with db.connected().cursor() as cursor:
        cursor.execute("SELECT item FROM orders WHERE id = %s", [number])
        row = cursor.fetchone()
    return row and row[0]
