"""Every worker of a pool opens one connection when it starts, and uses it for all its tasks.

Remedy. The `initializer` of a `ProcessPoolExecutor` runs once in every worker, before its first task. The worker
keeps the inherited connection as well, and does not use, close or drop it, so the parent keeps its session. The cost
is a connection per worker for as long as the worker lives, used or not.

Do not assign the new connection to the variable that holds the inherited one: that drops the inherited connection,
and mysqlclient sends `COM_QUIT` when a connection is deallocated.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from drivers.helper import connect, look_up, prepare, step

# The pattern.

own: Any = None


def open_connection():
    """Call this once in every worker: open the connection for its tasks."""
    global own
    own = connect()


def start_workers():
    """Make a pool of two forked workers."""
    return ProcessPoolExecutor(2, mp_context=get_context("fork"), initializer=open_connection)


# What happens.

both = get_context("fork").Barrier(2)


def query(number):
    both.wait()  # so that each worker has two of the four tasks
    look_up(own, number)


def main():
    prepare()
    connection = connect()
    look_up(connection, 1)
    with start_workers() as executor:
        tasks = [executor.submit(query, number) for number in (101, 102, 103, 104)]
        look_up(connection, 2)
    for task in tasks:
        step("wait", task.result)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
