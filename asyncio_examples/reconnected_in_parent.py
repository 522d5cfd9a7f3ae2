"""Each worker drops the connection it inherited; the parent reconnects before it queries again.

Remedy. When a worker's connection is collected, asyncpg and aiomysql close it: asyncpg ends the session that the parent
uses too, and both take the descriptor out of the epoll instance that the processes share. So the parent discards its
connection after every round of workers and opens another, whose descriptor its loop watches. The workers drop their
copies: closing raises with asyncpg and asyncmy, because the connection belongs to another loop. It costs the parent its
session: temporary tables, settings, locks and whatever was not committed are gone, and the parent must not query
between starting a worker and reconnecting.
"""

import asyncio
import gc
import multiprocessing
from typing import Any

from asyncio_examples.helper import connect, look_up, prepare, step, wait_for

# The pattern.

connection: Any = None


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


def drop_inherited():
    """Call this first in the worker: drop the inherited connection."""
    global connection
    connection = None


async def reconnect():
    """Call this in the parent after a round of workers, before it queries: discard the connection they ended."""
    global connection
    connection = await connect()


# What happens.


async def child(number):
    step("drop", drop_inherited)
    step("collect", gc.collect)
    await look_up(await connect(), number)


async def main():
    for turn in (1, 2, 3):
        await reconnect()
        await look_up(connection, turn)
        workers = [start_worker(child, turn * 100 + task) for task in (1, 2, 3)]
        for worker in workers:
            wait_for(worker)
    await reconnect()
    await look_up(connection, 4)
    await look_up(connection, 5)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
