"""Children are started by `spawn` or `forkserver` and inherit neither connection nor loop.

Remedy. With the start method `spawn` a child is a new interpreter; with `forkserver` it is forked from a server process
that was itself started as a new interpreter. Neither has the parent's sockets nor its epoll instance, so there is
nothing to close or discard, with any driver. Each child costs an interpreter and its imports, and the function and its
arguments must be picklable: a connection is not. The main module is imported again in the child, so it needs
`if __name__ == "__main__"`.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import async_step, begin, commit, connect, insert, look_up, prepare, wait_for

# The pattern.


def start_worker(method, work, *args):
    """Run the coroutine `work(*args)` in a new process, by `spawn` or `forkserver`, on a loop of its own."""
    process = multiprocessing.get_context(method).Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


# What happens.


async def child(number):
    await look_up(await connect(), number)


async def main():
    connection = await connect()
    await look_up(connection, 1)
    await async_step("begin", begin, connection)
    await insert(connection, 1001)
    wait_for(start_worker("spawn", child, 101))
    await look_up(connection, 2)
    wait_for(start_worker("forkserver", child, 201))
    await look_up(connection, 3)
    await async_step("commit", commit, connection)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
