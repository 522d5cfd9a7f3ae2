"""In a forked child, SQLAlchemy collects another thread's session and rolls back the parent's transaction."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import create_engine, text
from sqlalchemy.orm import scoped_session, sessionmaker

engine = create_engine("postgresql+psycopg://", connect_args={"sslmode": "disable"})  # PGHOST, PGPORT, PGUSER, ...
Session = scoped_session(sessionmaker(engine))  # a session for each thread
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE reproduction (id integer)"))
with ThreadPoolExecutor(1) as thread:
    thread.submit(lambda: Session().execute(text("INSERT INTO reproduction VALUES (1)"))).result()
    child = os.fork()
    if child == 0:
        gc.collect()
        os._exit(0)
    os.waitpid(child, 0)
    thread.submit(Session.commit).result()  # confirmed, without an error
with engine.begin() as connection:
    rows = connection.execute(text("SELECT count(*) FROM reproduction")).scalar()
    connection.execute(text("DROP TABLE reproduction"))
raise SystemExit(0 if rows else "commit() succeeded in the parent, and its row is not there")
