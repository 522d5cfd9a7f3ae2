"""A query on an inherited connection raises only after it was sent, and the parent gets its reply."""

import asyncio
import os

import aiomysql

host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
connection = loop.run_until_complete(aiomysql.connect(host=host, port=port, user=user, password=password))
child = os.fork()
if child == 0:
    try:
        asyncio.new_event_loop().run_until_complete(connection.query("SELECT 42"))
    finally:
        os._exit(0)  # RuntimeError: attached to a different loop
os.waitpid(child, 0)
loop.run_until_complete(connection.query("SELECT 7"))
(row,) = connection._result.rows
if row != (7,):
    raise SystemExit(f"the parent asked for 7 and got {row}, the row that the child asked for")
print("the parent got its own row")
