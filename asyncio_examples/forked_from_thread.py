"""A coroutine starts a forked process in a thread, by `asyncio.to_thread`, while a query runs on the loop.

Hazard. None so far: the loop goes on while the process runs, and the child, whose only thread is the one that forked,
leaves the loop and the connection alone and opens its own. It still inherits both: a fork in a thread copies the
connection in the middle of a query.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import connect, look_up, prepare, show_watched

# The pattern.


async def run_in_process(work, *args):
    """Run the coroutine `work(*args)` in a forked process, and wait for it in a thread, as the loop must not wait."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    await asyncio.to_thread(process.start)
    await asyncio.to_thread(process.join)


def run(work, *args):
    asyncio.run(work(*args))


# What happens.


async def child():
    await look_up(await connect(), 101)


async def main():
    connection = await connect()
    await look_up(connection, 1)
    show_watched(connection)
    await asyncio.gather(look_up(connection, 2), run_in_process(child))
    show_watched(connection)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
