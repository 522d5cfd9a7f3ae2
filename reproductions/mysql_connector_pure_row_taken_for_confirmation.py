"""commit() accepts a row, the reply to another process's query, as the confirmation of COMMIT."""

import os
import signal

import mysql.connector

host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
options = {"collation": "utf8mb4_general_ci", "use_pure": True, "ssl_disabled": True}
connection = mysql.connector.connect(host=host, port=port, user=user, password=password, **options)
child = os.fork()
if child == 0:
    signal.setitimer(signal.ITIMER_REAL, 0.5)  # killed while its query is in flight
    connection.cmd_query("SELECT 42, SLEEP(1)")
os.waitpid(child, 0)
step = "commit()"
try:
    connection.commit()
    step = "after a commit() without an error, SELECT 7"
    connection.cmd_query("SELECT 7")
except mysql.connector.Error as error:
    print(f"{step} raised {error!r}")
    raise SystemExit(step != "commit()") from None
print("commit() read its own reply")
