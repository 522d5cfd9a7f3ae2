"""Every forked process discards the inherited connections by itself, and leaves its parent's loop.

Remedy. `os.register_at_fork` does in every child what `discarded_in_child` does by hand, whichever code forks, so
that no call site has to remember it: before the child runs its first line, each inherited epoll instance is replaced
by one of the child's own, and the descriptors of the registered connections are redirected to `/dev/null`. The child
may drop the connections or exit in any way; the parent keeps its session, an open transaction included. The cost is a
`dup2` per connection and loop at each fork. `subprocess` does not run the hook and does not need it: it closes
descriptors.

Each descriptor and its `fstat()` are recorded at connect time and compared before `dup2`, because the number of a
connection that was lost may belong to something else by then.

Needs: descriptor
"""

import asyncio
import contextlib
import functools
import gc
import multiprocessing
import os
import select
import sys
import weakref
from pathlib import Path
from typing import Any

from asyncio_examples.helper import (
    async_step,
    begin,
    commit,
    connect,
    descriptor,
    insert,
    look_up,
    prepare,
    step,
    wait_for,
    wait_until_loop_waits,
)

# The pattern.

sockets: weakref.WeakKeyDictionary[Any, tuple[int, os.stat_result]] = weakref.WeakKeyDictionary()


def discard_at_fork(connection):
    """Have every process forked from now on discard `connection` and leave its parent's loops; return `connection`."""
    install()
    fd = descriptor(connection)
    sockets[connection] = fd, os.fstat(fd)
    return connection


@functools.cache
def install():
    """Install the hook, once."""
    os.register_at_fork(after_in_child=discard)


def discard():
    """First thing in a child: leave the loops of the parent, and redirect the inherited connections to `/dev/null`."""
    leave_epoll()
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd, socket in sockets.values():
        with contextlib.suppress(OSError):  # the descriptor is closed
            if os.path.samestat(os.fstat(fd), socket):
                os.dup2(null, fd, inheritable=False)
    os.close(null)
    sockets.clear()


def leave_epoll():
    """Put an epoll instance of this process's own in place of each that it shares with its parent."""
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this listing is closed
            if str(fd.readlink()) == "anon_inode:[eventpoll]":
                with select.epoll() as own:
                    os.dup2(own.fileno(), int(fd.name), inheritable=False)


# What happens.

connection: Any = None


async def use_own(number):
    await look_up(await connect(), number)


def child_that_drops():
    global connection
    connection = None
    step("drop", gc.collect)
    asyncio.run(use_own(101))


def child_that_exits():
    asyncio.run(use_own(201))
    sys.exit()


async def main():
    global connection
    connection = discard_at_fork(await connect())
    await look_up(connection, 1)
    await async_step("begin", begin, connection)
    await insert(connection, 1001)
    process = multiprocessing.get_context("fork").Process(target=child_that_drops)
    process.start()
    wait_for(process)
    await look_up(connection, 2)
    pid = os.fork()
    if pid == 0:
        child_that_exits()
    wait_for(pid)
    await insert(connection, 1002)
    await async_step("commit", commit, connection)
    await async_step("thread", asyncio.to_thread, wait_until_loop_waits)
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
