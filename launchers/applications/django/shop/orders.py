"""Orders are looked up here."""

import django
from django.db import connection, models

from example_support import transcript
from example_support.driver import protocol
from example_support.identity import announce
from shop.models import Order

transcript.original = lambda error: error.__cause__ or error


class Session(models.Func):
    """The id of the server session that a query runs on."""

    template = protocol.SESSION_ID
    output_field = models.BigIntegerField()


class Pause(models.Func):
    """What makes a query take a few milliseconds."""

    template = protocol.PAUSE
    output_field = models.TextField()


def look_up(number):
    """Look up an order and return its number."""

    def ask():
        order = Order.objects.annotate(session=Session(), pause=Pause()).filter(pk=number).first()
        return order and (order.id, order.session)

    return transcript.read_order("look up", ask, number)


def introduce():
    """Report what the program uses."""

    def query(sql):
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()

    connection.ensure_connection()
    announce(connection.connection, query, stack=f"Django {django.get_version()}")
