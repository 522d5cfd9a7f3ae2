"""The parent closes its connection before it forks; each process reconnects when it next runs a query.

Remedy. A connection that the parent has closed cannot be inherited. Closing it sends the termination message (MySQL
`COM_QUIT`, PostgreSQL `Terminate`) and ends a session that no process needs any more. It costs the parent its session:
temporary tables, settings, locks and whatever was not committed are gone, and the parent reconnects after the fork. The
loop is still inherited: leave it alone in the child, and run another.
"""

import asyncio
import multiprocessing
from typing import Any

from asyncio_examples.helper import async_step, close, connect, look_up, prepare, wait_for

# The pattern.

connection: Any = None


async def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process that inherits no connection, on a loop of its own."""
    await close(connection)
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


# What happens.


async def child():
    await look_up(await connect(), 101)


async def main():
    global connection
    connection = await connect()
    await look_up(connection, 1)
    worker = await async_step("fork", start_worker, child)
    connection = await connect()
    await look_up(connection, 2)
    wait_for(worker)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
