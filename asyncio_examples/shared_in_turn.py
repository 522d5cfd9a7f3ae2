"""A coroutine forks; the child, on a loop of its own, queries on the inherited connection; then the parent does.

Hazard. The child gets an exception, and the parent gets the child's row. asyncpg, aiomysql and asyncmy send the
child's query at once, and only then find that the connection belongs to another loop: `RuntimeError`, "attached to a
different loop". The reply stays in the socket that both processes share. The parent, which sends the next query,
reads the child's reply first and takes it for its own, without an error. With TLS the parent's query fails instead.

psycopg's `AsyncConnection` belongs to no loop: it registers its descriptor with the running loop for each wait. Here
every process gets its own rows on one server session, as without asyncio, until two of them query at the same time.
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


async def child(inherited, number):
    await look_up(inherited, number)
    await look_up(inherited, number + 1)


async def main():
    connection = await connect()
    await look_up(connection, 1)
    wait_for(start_worker(child, connection, 101))
    await look_up(connection, 2)
    wait_for(start_worker(child, connection, 201))
    await look_up(connection, 3)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
