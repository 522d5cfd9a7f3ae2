"""The child closes the inherited connection and opens its own, on a loop of its own; then the parent queries again.

Hazard. The parent waits forever, and gets no error. Closing a connection of asyncpg, aiomysql or asyncmy takes its
descriptor out of the loop's epoll instance, and a fork shares that instance: it is taken out of the parent's too. The
termination message (MySQL `COM_QUIT`, PostgreSQL `Terminate`) is sent as well, and the server closes the
connection, but the parent's loop is not told. `/proc/<pid>/fdinfo` lists what an epoll instance watches: the
connection's descriptor is there before the child closes it, and not after.

psycopg's `AsyncConnection` is in no epoll instance while it does not wait, so the parent gets an error, as without
asyncio.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import async_step, close, connect, look_up, prepare, show_watched, wait_for

# The pattern.


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


async def close_inherited(connection):
    """Call this first in the worker: close its copy of the inherited connection."""
    await close(connection)


# What happens.


async def child(inherited):
    await async_step("close", close_inherited, inherited)
    own = await connect()
    await look_up(own, 101)


async def main():
    connection = await connect()
    await look_up(connection, 1)
    show_watched(connection)
    wait_for(start_worker(child, connection))
    show_watched(connection)
    await look_up(connection, 2)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
