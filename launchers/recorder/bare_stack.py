"""Without an ORM."""

from shop import db

VERSION = "bare"


def original(error):
    """Return the driver's exception: there is no other."""
    return error


def watch(report):
    """Have each new connection reported."""
    connect = db.connect

    def reporting(*arguments):
        connection = connect(*arguments)

        def query(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchone()

        report(connection, query)
        return connection

    db.connect = reporting
