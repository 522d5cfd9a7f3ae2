"""The app's one model."""

from django.db import models


class Order(models.Model):
    """An order."""

    id = models.IntegerField(primary_key=True)
    item = models.CharField(max_length=100)

    class Meta:
        """Names the table."""

        db_table = "orders"
