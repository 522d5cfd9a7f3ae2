"""SQLAlchemy's pre-ping raises error 2026 of a lost TLS session instead of reconnecting."""

import os

from sqlalchemy import URL, create_engine, exc, text

user, password = os.environ.get("MYSQL_USER", "root"), os.environ.get("MYSQL_PASSWORD", "")
host, port = os.environ.get("MYSQL_HOST", "127.0.0.1"), int(os.environ.get("MYSQL_PORT", "3306"))
tls = {"ca": os.environ.get("MYSQL_CA")} if os.environ.get("MYSQL_CA") else {"cipher": "DEFAULT"}
url = URL.create("mysql+mysqldb", user, password, host, port)
engine = create_engine(url, pool_pre_ping=True, connect_args={"ssl": tls})
with engine.connect() as connection:
    session = connection.execute(text("SELECT CONNECTION_ID()")).scalar()
with create_engine(url, connect_args={"ssl": tls}).connect() as other:
    other.execute(text(f"KILL {session}"))
try:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
except exc.OperationalError as error:
    raise SystemExit(f"the session was lost, and pool_pre_ping raised {error.orig!r}") from None
print("pool_pre_ping replaced the lost connection")
