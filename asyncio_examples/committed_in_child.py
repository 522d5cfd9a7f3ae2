"""The child commits on the inherited connection, inside the parent's transaction; then the parent rolls back.

Hazard. The transaction belongs to the server session, and `COMMIT` ends it whichever process sends it. The child gets a
`RuntimeError`, because the connection belongs to another loop, and yet order 1001 is committed. The parent reads the
reply to that `COMMIT` as the reply to its own next statement; its rollback is confirmed, and order 1001 is on the
server. With psycopg's `AsyncConnection` the child's commit is confirmed, as without asyncio.

With TLS the parent gets an error that does not name the cause. Order 1001 is still committed.
"""

import asyncio
import multiprocessing

from asyncio_examples.helper import (
    async_step,
    begin,
    commit,
    connect,
    insert,
    look_up,
    prepare,
    rollback,
    show_transaction,
    wait_for,
)

# The pattern.


def start_worker(work, *args):
    """Run the coroutine `work(*args)` in a forked process, on a loop of its own."""
    process = multiprocessing.get_context("fork").Process(target=run, args=(work, *args))
    process.start()
    return process


def run(work, *args):
    asyncio.run(work(*args))


async def finish(connection):
    """Call this last in the worker: commit, as with any connection."""
    await commit(connection)


# What happens.


async def child(inherited):
    show_transaction(inherited)
    await async_step("commit", finish, inherited)
    show_transaction(inherited)


async def main():
    connection = await connect()
    await async_step("begin", begin, connection)
    await insert(connection, 1001)
    show_transaction(connection)
    wait_for(start_worker(child, connection))
    show_transaction(connection)
    await insert(connection, 1002)
    show_transaction(connection)
    await async_step("rollback", rollback, connection)
    await look_up(connection, 1)


if __name__ == "__main__":
    prepare()
    asyncio.run(main())
