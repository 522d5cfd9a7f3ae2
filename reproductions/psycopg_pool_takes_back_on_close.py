"""A forked child gets the parent's connection from Django's pool, before and after connection.close()."""

import os

import django
from django.conf import settings
from django.db import connection

database = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": {"min_size": 1, "max_size": 1}}}
name = {"NAME": os.environ.get("PGDATABASE", "postgres")}  # libpq reads PGHOST, PGPORT, PGUSER, PGPASSWORD
settings.configure(DATABASES={"default": database | name})
django.setup()
with connection.cursor() as cursor:
    session = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
connection.close()
child = os.fork()
if child == 0:
    connection.close()
    with connection.cursor() as cursor:
        inherited = cursor.execute("SELECT pg_backend_pid()").fetchone()[0] == session
    os._exit(inherited)
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
    raise SystemExit("the child closed its connection, and the pool gave it the parent's")
print("the child got a connection of its own")
