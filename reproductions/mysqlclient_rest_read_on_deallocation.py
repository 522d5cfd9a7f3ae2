"""A child that only drops a half-read result reads the rest of it from the socket, and the parent waits forever."""

import os

import MySQLdb
from MySQLdb.cursors import SSCursor

host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
connection = MySQLdb.connect(host=host, port=port, user=user, password=password, read_timeout=3)
cursor = connection.cursor(SSCursor)
cursor.execute(
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, REPEAT('x', 2000) FROM n"
)
rows = [cursor.fetchone()]
child = os.fork()
if child == 0:
    del cursor
    os._exit(0)
os.waitpid(child, 0)
try:
    rows += list(cursor)
except MySQLdb.OperationalError as error:
    raise SystemExit(f"the child read the parent's rows; the parent waited for them for 3 s: {error!r}") from None
raise SystemExit(0 if len(rows) == 900 else f"{900 - len(rows)} rows are missing, without an error")
