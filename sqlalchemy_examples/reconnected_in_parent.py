"""Each worker disposes of the pool it inherited; the parent reconnects before it queries again.

Remedy. The pattern of the article "Forked Processes and Persistent Connections": when a worker closes its connection,
it sends the termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`) on the session that the parent uses too,
and the server ends it. So the parent discards its pool after every round of workers and reconnects. Every process
gets its rows. It costs the parent its session: temporary tables, settings, locks and whatever was not committed are
gone, and the parent must not query between starting a worker and reconnecting.
https://renzolucioni.com/forked-processes-persistent-connections/

Points:
    child: engine.dispose()
    parent: engine.dispose()
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step

engine = create_engine(DATABASE_URL)

# The pattern.


def reconnect():
    """Call this in the parent after a round of workers, before it queries: discard the pool they ended."""
    engine.dispose()


def close_inherited():
    """Call this first in a worker's task: dispose of the inherited pool; the engine reconnects."""
    engine.dispose()


def start_workers():
    """Make a pool of forked workers, which inherit the engine as it is at the first `submit()`."""
    return ProcessPoolExecutor(max_workers=3, mp_context=get_context("fork"))


# What happens.


def query(number):
    step("close", close_inherited)
    look_up(engine, number)


def main():
    prepare()
    for turn in (1, 2, 3):
        step("reconnect", reconnect)
        look_up(engine, turn)
        with start_workers() as executor:
            tasks = [executor.submit(query, turn * 100 + task) for task in (1, 2, 3)]
        for task in tasks:
            step("wait", task.result)
    step("reconnect", reconnect)
    look_up(engine, 4)
    look_up(engine, 5)


if __name__ == "__main__":
    main()
