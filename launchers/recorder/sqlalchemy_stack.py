"""SQLAlchemy."""

import sqlalchemy

VERSION = f"SQLAlchemy {sqlalchemy.__version__}"


def original(error):
    """Return the driver's exception, which SQLAlchemy's has in `orig`."""
    return getattr(error, "orig", None) or error


def watch(report):
    """Have each new connection reported."""

    @sqlalchemy.event.listens_for(sqlalchemy.Pool, "connect")
    def connected(connection, _):
        def query(sql):
            cursor = connection.cursor()
            cursor.execute(sql)
            row = cursor.fetchone()
            cursor.close()
            return row

        report(connection, query)
        connection.rollback()
