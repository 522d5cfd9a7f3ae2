"""The child drops the inherited connection without closing it, and opens its own, on a loop of its own.

Hazard. With asyncpg and aiomysql the parent waits forever. Their finalisers close a connection that is collected, in
any process, which takes its descriptor out of the epoll instance that a fork shares; asyncpg's sends `Terminate` as
well. asyncmy's and psycopg's connections have no such finaliser, and the parent keeps its session.
"""

import asyncio
import gc
import multiprocessing

from asyncio_examples.helper import connect, look_up, prepare, show_watched, step, wait_for

# The pattern.

connection = None


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


def drop_inherited():
    """Call this first in the worker: drop the inherited connection without closing it."""
    global connection
    connection = None


# What happens.


async def child():
    step("drop", drop_inherited)
    step("collect", gc.collect)
    own = await connect()
    await look_up(own, 101)


async def main():
    global connection
    connection = await connect()
    await look_up(connection, 1)
    show_watched(connection)
    wait_for(start_worker(child))
    show_watched(connection)
    await look_up(connection, 2)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
