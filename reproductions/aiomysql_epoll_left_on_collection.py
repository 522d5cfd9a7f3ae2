"""A child that only drops an inherited aiomysql connection stops the parent's event loop from seeing replies."""

import asyncio
import os

import aiomysql


async def main() -> None:
    host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
    user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
    connection = await aiomysql.connect(host=host, port=port, user=user, password=password)
    if (child := os.fork()) == 0:
        del connection
        os._exit(0)
    os.waitpid(child, 0)
    try:
        await asyncio.wait_for(connection.query("SELECT 1"), 3)
    except TimeoutError:
        raise SystemExit("the child deallocated its copy, and the parent's query never returns") from None
    print("the parent can still query")


asyncio.run(main())
