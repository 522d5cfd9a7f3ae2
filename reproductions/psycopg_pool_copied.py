"""psycopg_pool hands out the parent's connection in a forked child, and both share a server session."""

import os

from psycopg_pool import ConnectionPool

with ConnectionPool(min_size=1, max_size=1) as pool:  # PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
    with pool.connection() as connection:
        session = connection.info.backend_pid
    child = os.fork()
    if child == 0:
        with pool.connection() as connection:
            os._exit(connection.info.backend_pid == session)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit("the child's copy of the pool handed out the parent's connection")
print("the child got a connection of its own")
