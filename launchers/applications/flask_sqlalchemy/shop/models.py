"""The tables."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from shop.db import db


class Order(db.Model):
    """An order."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    item: Mapped[str] = mapped_column(String(100))
