"""Rows that another process read from the socket are missing from a result, without an error."""

import os

import MySQLdb
from MySQLdb.cursors import SSCursor

host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
cursor = MySQLdb.connect(host=host, port=port, user=user, password=password).cursor(SSCursor)
cursor.execute(
    "WITH RECURSIVE n AS (SELECT 1001 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " SELECT i, REPEAT('x', 1012) FROM n"  # rows of 1024 bytes, so that a row begins where a buffer ends
)
numbers = [cursor.fetchone()[0]]
child = os.fork()
if child == 0:
    cursor.fetchmany(20)
    os._exit(0)
os.waitpid(child, 0)
numbers += [row[0] for row in cursor]  # an error here would be right
if missing := sorted(set(range(1001, 2001)) - set(numbers)):
    raise SystemExit(f"no error, and numbers {missing[0]} to {missing[-1]} are missing")
print("no row is missing")
