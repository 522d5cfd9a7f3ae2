"""Orders are looked up here."""

from sqlalchemy.orm import Session

from shop.db import engine
from shop.models import Order


def look_up(number):
    """Return the item of an order, None if there is no such order."""
    with Session(engine) as session:
        order = session.get(Order, number)
        return order and order.item
