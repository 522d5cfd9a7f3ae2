"""Rows that another process read from the socket are missing from a result, without an error."""

import os

import mysql.connector

host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
options = {"collation": "utf8mb4_general_ci", "use_pure": True, "ssl_disabled": True}
connection = mysql.connector.connect(host=host, port=port, user=user, password=password, **options)
cursor = connection.cursor()
cursor.execute(
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
    " SELECT i, REPEAT('x', 1000) FROM n"
)
numbers = [cursor.fetchone()[0]]
child = os.fork()
if child == 0:
    cursor.fetchmany(100)
    os._exit(0)
os.waitpid(child, 0)
numbers += [row[0] for row in cursor]  # an error here would be right
if missing := sorted(set(range(1, 1001)) - set(numbers)):
    raise SystemExit(f"no error, and rows {missing[0]} to {missing[-1]} are missing")
print("no row is missing")
