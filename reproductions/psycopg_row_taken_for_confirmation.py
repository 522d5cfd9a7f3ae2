"""commit() takes the row of another process's query for the confirmation of COMMIT, which the server refused."""

import os
import signal

import psycopg

connection = psycopg.connect(sslmode="disable")  # PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
connection.execute("CREATE TEMPORARY TABLE t (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
connection.execute("INSERT INTO t VALUES (1), (1)")  # COMMIT has to fail: the id is there twice
child = os.fork()
if child == 0:
    signal.setitimer(signal.ITIMER_REAL, 0.5)  # killed while its query is in flight
    connection.execute("SELECT 42 FROM pg_sleep(1)")
os.waitpid(child, 0)
try:
    connection.commit()
except psycopg.Error as error:
    print(f"commit() raised {error!r}")
else:
    raise SystemExit("commit() returned without an error, although the server refused the COMMIT")
