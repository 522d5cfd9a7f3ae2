"""A coroutine calls `os.fork()`; the child does not use the connection, and exits via `sys.exit()`.

Hazard. `SystemExit` leaves the coroutine and ends the loop that the child inherited: `asyncio.run()` closes it, and
then the interpreter deallocates the connection. With that loop closed, the finalisers of asyncpg and aiomysql send
nothing and reach no epoll instance, and the parent can still query. But closing the loop takes its wake-up descriptor
out of the parent's epoll instance: see inherited_loop_closed.
"""

import asyncio
import os
import sys

from asyncio_examples.helper import connect, look_up, prepare, show_watched, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which ends when the work is done."""
    pid = os.fork()
    if pid == 0:
        work(*args)
        sys.exit()
    return pid


# What happens.


def child():
    step("work", sum, range(1000))


async def main():
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
