"""Every worker of a pool opens one connection when it starts, and uses it for all its tasks.

Remedy. The `initializer` of a `ProcessPoolExecutor` runs once in every worker, before its first task. It replaces
each inherited connection wrapper with a new one. The worker keeps the inherited ones and does not use, close or drop
them, so the parent keeps its session. The cost is a connection per worker for as long as the worker lives, used or
not.

`connection.connect()` alone is not enough: it drops the inherited connection, and mysqlclient sends `COM_QUIT` when a
connection is deallocated. The list keeps a reference to it. `connections.create_connection()` is not documented; it
was run with Django 5.2.

Points:
    child: open_connection()
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from django.db import connection, connections

from django_examples.helper import look_up, prepare, step

# The pattern.

inherited: list[Any] = []


def open_connection():
    """Call this once in every worker: replace each alias's connection, and open the one that the tasks use."""
    for alias in connections:
        inherited.append(connections[alias])
        connections[alias] = connections.create_connection(alias)
    connection.connect()


def start_workers():
    """Make a pool of two forked workers."""
    return ProcessPoolExecutor(2, mp_context=get_context("fork"), initializer=open_connection)


# What happens.

both = get_context("fork").Barrier(2)


def query(number):
    both.wait()  # so that each worker has two of the four tasks
    look_up(number)


def main():
    prepare()
    look_up(1)
    with start_workers() as executor:
        tasks = [executor.submit(query, number) for number in (101, 102, 103, 104)]
        look_up(2)
    for task in tasks:
        step("wait", task.result)
    look_up(3)


if __name__ == "__main__":
    main()
