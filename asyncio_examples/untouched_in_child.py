"""The child does not use the inherited connection, and opens its own, on a loop of its own.

Hazard. None so far: `multiprocessing` ends the child with `os._exit()`, no finaliser runs, and the parent keeps its
session. This holds as long as the child neither uses, closes nor drops the connection, nor the loop that it inherited.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import connect, look_up, prepare, wait_for

# The pattern.


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


# What happens.


async def child():
    await look_up(await connect(), 101)


async def main():
    connection = await connect()
    await look_up(connection, 1)
    wait_for(start_worker(child))
    await look_up(connection, 2)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
