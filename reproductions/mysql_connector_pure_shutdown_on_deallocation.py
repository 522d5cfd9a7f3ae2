"""A child that only drops an inherited connection in pure Python shuts down the socket of the parent."""

import os

import mysql.connector

connection = mysql.connector.connect(
    host=os.environ.get("MYSQL_HOST", "127.0.0.1"),
    port=int(os.environ.get("MYSQL_PORT", "3306")),
    user=os.environ.get("MYSQL_USER", "root"),
    password=os.environ.get("MYSQL_PASSWORD", ""),
    collation="utf8mb4_general_ci",
    ssl_disabled=True,
    use_pure=True,
)
child = os.fork()
if child == 0:
    del connection  # no close(), no query
    os._exit(0)
os.waitpid(child, 0)
try:
    connection.cmd_query("SELECT 1")
except mysql.connector.Error as error:
    raise SystemExit(f"the child deallocated its copy, and the parent got {error!r}") from None
print("the parent can still query")
