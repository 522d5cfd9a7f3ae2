"""A child that only drops an inherited mysqlclient connection ends the parent's session."""

import os

import MySQLdb

connection = MySQLdb.connect(
    host=os.environ.get("MYSQL_HOST", "127.0.0.1"),
    port=int(os.environ.get("MYSQL_PORT", "3306")),
    user=os.environ.get("MYSQL_USER", "root"),
    password=os.environ.get("MYSQL_PASSWORD", ""),
)
child = os.fork()
if child == 0:
    del connection  # no close(), no query
    os._exit(0)
os.waitpid(child, 0)
try:
    connection.query("SELECT 1")
except MySQLdb.OperationalError as error:
    raise SystemExit(f"the child deallocated its copy, and the parent got {error!r}") from None
print("the parent can still query")
