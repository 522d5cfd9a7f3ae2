"""Each worker disposes of the pool it inherited; the parent connects anew before it asks again.

Remedy. The pattern of the article "Forked Processes and Persistent Connections": a worker's close says
goodbye (MySQL `COM_QUIT`, PostgreSQL `Terminate`) on the session that the parent holds too, and the server
ends it; so the parent gives its pool up after every round and connects anew. Everybody is served. The parent
pays with its session: temporary tables, settings, locks and whatever it had not committed are gone, and it
must not ask between a worker's start and its own reconnecting.
https://renzolucioni.com/forked-processes-persistent-connections/

Remedy for: closed_in_child
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step

engine = create_engine(DATABASE_URL)

# The pattern.


def reconnect():
    """In the parent, before it asks after a round of workers: leave the pool they ended."""
    engine.dispose()


def close_inherited():
    """First thing in a worker's task: dispose of the inherited pool; the engine connects anew."""
    engine.dispose()


def start_workers():
    """Make a pool of forked workers, who inherit the engine as it is at the first `submit()`."""
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
