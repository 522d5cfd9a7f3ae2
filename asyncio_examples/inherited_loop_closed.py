"""The program forks while its loop is stopped; the child closes the loop that it inherited, and runs its own.

Hazard. The parent's queries work, but a thread that finishes no longer wakes its loop: `asyncio.to_thread()`,
`run_in_executor()` and the look-up of a host's name when it connects wait until something else wakes the loop, which in
an idle program is forever. Closing a loop takes its wake-up descriptor out of its epoll instance, which a fork shares,
whatever the driver is.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import async_step, connect, look_up, prepare, wait_for, wait_until_loop_waits

# The pattern.


def start_worker(runner, work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(runner, work, *args))
    process.start()
    return process


def run(runner, work, *args):
    """First thing in the worker: close the loop that it inherited, and run its own."""
    runner.close()
    asyncio.run(work(*args))


# What happens.


async def child():
    await look_up(await connect(), 101)


async def thread():
    await async_step("thread", asyncio.to_thread, wait_until_loop_waits)


def main():
    prepare()
    with asyncio.Runner() as runner:
        connection = runner.run(connect())
        runner.run(look_up(connection, 1))
        runner.run(thread())
        wait_for(start_worker(runner, child))
        runner.run(look_up(connection, 2))
        runner.run(thread())
        runner.run(look_up(connection, 3))


if __name__ == "__main__":
    main()
