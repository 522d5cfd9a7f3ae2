"""A result is half read when the process forks, and the child drops its copy of it.

Hazard. With the MySQL drivers the rows are in flight already, and an unbuffered cursor reads the rest of them when it
is deallocated, in whichever process: the child takes the parent's rows out of the socket, and PyMySQL and mysqlclient
in the parent wait for them forever. Connector/Python reads nothing then. On PostgreSQL the rows stay on the server,
and psycopg and psycopg2 send nothing when a cursor is deallocated.

Needs: server_side_cursor
"""

import multiprocessing

from drivers.helper import SESSION_ID, connect, prepare, read, server_side_cursor, step, wait_for

# Rows of 1024 bytes each, so that a row begins wherever a client's buffer ends.
ROWS = f"id, {SESSION_ID}, RPAD('', 1015 - LENGTH(CONCAT(id, {SESSION_ID})), '.')"

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def all_orders(connection):
    """Yield all orders, too many to hold in memory at once."""
    cursor = server_side_cursor(connection)
    cursor.execute(f"SELECT {ROWS} FROM orders ORDER BY id")
    while rows := cursor.fetchmany(10):
        yield from rows


# What happens.


def drop(orders):
    step("drop", orders.close)


def read_on(orders):
    for number in range(6, 36):
        if read(orders, number) is None:
            break


def main():
    prepare()
    connection = connect(autocommit=False)
    orders = all_orders(connection)
    for number in range(1, 6):
        read(orders, number)
    wait_for(start_worker(drop, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
