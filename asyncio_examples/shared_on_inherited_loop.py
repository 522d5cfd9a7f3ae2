"""The program forks while its loop is stopped; parent and child run that loop and use the connection in turn.

Hazard. Without TLS every process gets its result, on one server session, because each reply is read before the next
query is sent. That is luck, not safety: both loops wait on one epoll instance, which a fork shares as it shares the
socket, and either may read a reply that is in flight. With TLS the parent's next query fails, as without asyncio.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import connect, look_up, prepare, wait_for

# The pattern.


def start_worker(runner, work, *args):
    """Run the coroutine `work(*args)` in a forked process, on the loop of its parent."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(runner, work, *args))
    process.start()
    return process


def run(runner, work, *args):
    runner.run(work(*args))


# What happens.


async def child(inherited, number):
    await look_up(inherited, number)
    await look_up(inherited, number + 1)


def main():
    prepare()
    with asyncio.Runner() as runner:
        connection = runner.run(connect())
        runner.run(look_up(connection, 1))
        wait_for(start_worker(runner, child, connection, 101))
        runner.run(look_up(connection, 2))
        wait_for(start_worker(runner, child, connection, 201))
        runner.run(look_up(connection, 3))


if __name__ == "__main__":
    main()
