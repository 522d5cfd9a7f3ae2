"""A child that only drops an inherited asyncpg connection stops the parent's event loop from seeing replies."""

import asyncio
import gc
import os

import asyncpg


async def main() -> None:
    connection = await asyncpg.connect(ssl=False)  # PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
    child = os.fork()
    if child == 0:
        del connection
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    try:
        await asyncio.wait_for(connection.fetchval("SELECT 1"), 3)
    except TimeoutError:
        raise SystemExit("the child deallocated its copy, and the parent's query never returns") from None
    print("the parent can still query")


asyncio.run(main())
