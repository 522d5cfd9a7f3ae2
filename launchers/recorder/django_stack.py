"""Django."""

import django
from django.db.backends.signals import connection_created

VERSION = f"Django {django.get_version()}"


def original(error):
    """Return the driver's exception, which Django's has as its cause."""
    return error.__cause__ or error


def watch(report):
    """Have each new connection reported."""

    def created(connection, **_):
        def query(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()

        report(connection.connection, query)

    connection_created.connect(created, weak=False)
