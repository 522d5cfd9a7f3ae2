"""In a forked child psycopg_pool opens no connection: a fork does not copy the threads that do it."""

import os

from psycopg_pool import ConnectionPool, PoolTimeout

with ConnectionPool(min_size=1, max_size=2, timeout=2) as pool:  # PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
    pool.wait()
    child = os.fork()
    if child == 0:
        try:
            with pool.connection(), pool.connection():
                os._exit(0)
        except PoolTimeout:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit("the child waited in vain for the pool's second connection, and got PoolTimeout")
print("the pool opened a connection in the child")
