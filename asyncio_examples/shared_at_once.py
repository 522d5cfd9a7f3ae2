"""Several processes use the inherited connection at the same time, on the inherited loop.

Hazard. The server replies in the order of the queries, and the process that reads first takes the first reply: each
process gets another's row, without an error. The processes share the epoll instance of the loop as well as the socket,
so every reply wakes all of them, and any may be first. With TLS that happens once: then the server receives a record
that it cannot decrypt and ends the session for every process.

psycopg's `AsyncConnection` registers its descriptor for each wait. The second process to do so in the shared epoll
instance gets EEXIST, which psycopg reports as "connection socket closed"; a reply that is there before it waits it
reads, whichever process's it is.
"""

import asyncio
import multiprocessing
import os
import signal

from asyncio_examples.helper import connect, hold_replies, look_up, prepare, release_reply, wait_for, wait_until_held

# The pattern.


def start_worker(runner, work, *args):
    """Run the coroutine `work(*args)` in a forked process, on the loop of its parent."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(runner, work, *args))
    process.start()
    return process


def run(runner, work, *args):
    runner.run(work(*args))


# What happens. The server holds back each reply until the process that waits for it has read another, so that replies
# arrive one by one.


async def suspended_child(inherited):
    await look_up(inherited, 101, held=True)


async def child(inherited, number):
    await look_up(inherited, number, held=True)


def main():
    prepare()
    with asyncio.Runner() as runner:
        connection = runner.run(connect())
        runner.run(look_up(connection, 1, held=True))  # before any reply is held: prepares the statement
        holder = hold_replies()
        suspended = start_worker(runner, suspended_child, connection)
        wait_until_held(holder)
        # The kernel may suspend a process at any moment. Here it does so between query and reply, for a long time.
        os.kill(suspended.pid, signal.SIGSTOP)
        os.waitpid(suspended.pid, os.WUNTRACED)  # kill() does not wait for that
        release_reply(holder)
        # After an error, which process reads which reply is not forced any more, and no reply is held.
        release_reply(holder, hold=runner.run(look_up(connection, 2, held=True)) is not None)
        wait_for(start_worker(runner, child, connection, 201))
        release_reply(holder)
        release_reply(holder, hold=runner.run(look_up(connection, 3, held=True)) is not None)
        os.kill(suspended.pid, signal.SIGCONT)
        wait_for(suspended)


if __name__ == "__main__":
    main()
