"""SQLAlchemy's `dispose(close=False)` in a child, which is documented for this, ends mysqlclient's session."""

import gc
import os

from sqlalchemy import URL, create_engine, exc, text

user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
engine = create_engine(URL.create("mysql+mysqldb", user, password, host, port))
with engine.connect() as connection:
    connection.execute(text("SELECT 1"))  # the pool now has an idle connection
child = os.fork()
if child == 0:
    engine.dispose(close=False)
    gc.collect()
    os._exit(0)
os.waitpid(child, 0)
try:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
except exc.OperationalError as error:
    raise SystemExit(f"the child disposed of its copy of the pool, and the parent got {error.orig!r}") from None
print("the parent can still query")
