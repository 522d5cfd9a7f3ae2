"""A query on an inherited connection raises only after it was sent, and the parent gets its reply."""

import asyncio
import os

import asyncpg

loop = asyncio.new_event_loop()
connection = loop.run_until_complete(asyncpg.connect(ssl=False))  # PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE
loop.run_until_complete(connection.fetchval("SELECT $1::int", 1))
child = os.fork()
if child == 0:
    try:
        asyncio.new_event_loop().run_until_complete(connection.fetchval("SELECT $1::int", 42))
    finally:
        os._exit(0)  # RuntimeError: attached to a different loop
os.waitpid(child, 0)
try:
    row = loop.run_until_complete(connection.fetchval("SELECT $1::int", 7))
except asyncpg.PostgresError as error:
    raise SystemExit(print(f"the parent noticed: {error!r}")) from None
if row != 7:
    raise SystemExit(f"the parent asked for 7 and got {row}, the row that the child asked for")
print("the parent got its own row")
