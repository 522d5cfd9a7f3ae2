"""Each worker closes the connection it inherited; the parent connects anew before it asks again.

Remedy. The pattern of the article "Forked Processes and Persistent Connections": a worker's close says
goodbye (MySQL `COM_QUIT`, PostgreSQL `Terminate`) on the session that the parent holds too, and the server
ends it; so the parent gives its connection up after every round and opens another. Everybody is served. The
parent pays with its session: temporary tables, settings, locks and whatever it had not committed are gone,
and it must not ask between a worker's start and its own reconnecting.
https://renzolucioni.com/forked-processes-persistent-connections/

Remedy for: closed_in_child
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from drivers.helper import connect, look_up, prepare, step

connection: Any = None

# The pattern.


def reconnect():
    """In the parent, before it asks after a round of workers: leave the connection they ended."""
    global connection
    connection = connect()


def close_inherited():
    """First thing in a worker's task: close the inherited connection."""
    connection.close()


def start_workers():
    """Make a pool of forked workers, who inherit the connection as it is at the first `submit()`."""
    return ProcessPoolExecutor(max_workers=3, mp_context=get_context("fork"))


# What happens.


def query(number):
    step("close", close_inherited)
    reconnect()
    look_up(connection, number)


def main():
    prepare()
    for turn in (1, 2, 3):
        reconnect()
        look_up(connection, turn)
        with start_workers() as executor:
            tasks = [executor.submit(query, turn * 100 + task) for task in (1, 2, 3)]
        for task in tasks:
            step("wait", task.result)
    reconnect()
    look_up(connection, 4)
    look_up(connection, 5)


if __name__ == "__main__":
    main()
