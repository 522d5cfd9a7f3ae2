"""The child closes the inherited connection without awaiting anything; then the parent queries again.

Hazard. Not awaiting anything does not help: the parent waits forever. `close()` of aiomysql and asyncmy sends nothing
to the server, so the session stays open; but it takes the descriptor out of the epoll instance that a fork shares,
and the parent's loop never learns that the reply is there. asyncpg's `terminate()` sends `Terminate` as well.

Needs: terminate
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import connect, look_up, prepare, show_watched, step, terminate, wait_for

# The pattern.


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


def terminate_inherited(connection):
    """Call this first in the worker: close its copy of the inherited connection, without waiting for anything."""
    terminate(connection)


# What happens.


async def child(inherited):
    step("terminate", terminate_inherited, inherited)
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
