"""A result is half read when the process forks, and both processes continue to read it.

Hazard. Both processes have a copy of the rows that were in the client's memory, and share the rest. On PostgreSQL the
rows stay on the server, and each `FETCH` advances the session's one cursor: rows that the child fetched never reach the
parent, and there is no error. On MySQL the rows are already in flight, and what the child reads from the socket is
missing from the parent's stream. PyMySQL checks the packets' sequence numbers and raises "Packet sequence number
wrong"; mysqlclient's C library does not, and the parent continues with later rows. With TLS the parent cannot decrypt
what follows the bytes that the child read, and gets an error. The rows of this example have one size, so that the
child's share ends where a row ends; with other rows the parent continues in the middle of one: garbage, an exception,
or an endless wait.

Needs: server_side_cursor
"""

import multiprocessing

from drivers.helper import SESSION_ID, connect, prepare, read, server_side_cursor, wait_for

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
    wait_for(start_worker(read_on, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
