"""The app's one model."""

from django.db import models


class Order(models.Model):
    """An order; examples look up the orders 1 to 499 and write new ones from 1001."""

    id = models.IntegerField(primary_key=True)
    item = models.CharField(max_length=100)

    class Meta:
        db_table = "orders"

    def __str__(self) -> str:
        return f"order {self.id}"
