"""The child discards the connection it inherited without sending anything to the server, and leaves its parent's loop.

Remedy. First thing in the child, before it runs a loop of its own. The inherited descriptor is redirected to
`/dev/null`: whatever the driver still sends never reaches the server, and taking that descriptor out of the epoll
instance fails without an effect. Each inherited epoll instance is replaced by one of the child's own: whatever becomes
of the loop that the child inherited, the parent's loop still watches all it did. The parent keeps its session and
everything that belongs to it. `/proc/self/fd` is Linux's.

Closing a discarded connection in the child may raise `RuntimeError`, because it belongs to another loop: drop it.

Needs: descriptor
"""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import select
import sys
from pathlib import Path
from typing import Any

from asyncio_examples.helper import (
    async_step,
    connect,
    descriptor,
    look_up,
    prepare,
    show_watched,
    step,
    wait_for,
    wait_until_loop_waits,
)

# The pattern.

connection: Any = None


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    """First thing in the worker: discard what it inherited, then run a loop of its own."""
    leave_epoll()
    discard(connection)
    asyncio.run(work(*args))


def discard(connection):
    """Redirect a connection's descriptor to `/dev/null`, so that nothing it still sends reaches the server."""
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, descriptor(connection), inheritable=False)
    os.close(null)


def leave_epoll():
    """Put an epoll instance of this process's own in place of each that it shares with its parent."""
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this listing is closed
            if str(fd.readlink()) == "anon_inode:[eventpoll]":
                with select.epoll() as own:
                    os.dup2(own.fileno(), int(fd.name), inheritable=False)


# What happens.


async def child_that_drops():
    global connection
    connection = None
    step("drop", gc.collect)
    await look_up(await connect(), 101)


async def child():
    await look_up(await connect(), 201)


async def main():
    global connection
    connection = await connect()
    await look_up(connection, 1)
    show_watched(connection)
    wait_for(start_worker(child_that_drops))
    show_watched(connection)
    await look_up(connection, 2)
    pid = os.fork()
    if pid == 0:
        run(child)
        sys.exit()
    wait_for(pid)
    await look_up(connection, 3)
    await async_step("thread", asyncio.to_thread, wait_until_loop_waits)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
