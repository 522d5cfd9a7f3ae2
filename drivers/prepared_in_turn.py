"""Parent and child take turns on the inherited connection, and each runs one query often enough to prepare it.

Hazard. psycopg prepares a query on the server when it runs it for the sixth time, and numbers the statements that it
has prepared. After a fork each process counts for itself, so both give their first statement the name `_pg3_0`, and the
server has it already: `DuplicatePreparedStatement`, "prepared statement "_pg3_0" already exists". It is the first error
in processes that have shared a connection in turn for some time without one. With TLS the parent's first query fails
with "bad record mac".

Needs: automatic_preparation
"""

import multiprocessing

from drivers.helper import connect, look_up, prepare, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens. The session is shared in turn: that alone raises nothing without TLS.


def look_up_often(connection, first):
    for number in range(first, first + 6):
        look_up(connection, number)


def main():
    prepare()
    connection = connect()
    wait_for(start_worker(look_up_often, connection, 101))
    look_up_often(connection, 1)


if __name__ == "__main__":
    main()
