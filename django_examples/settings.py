"""Settings of the Django project: everything about the database comes from `DATABASE_URL`."""

import os
import sys
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

url = urlsplit(os.environ.get("DATABASE_URL") or sys.exit("DATABASE_URL is not set, e.g. postgresql://..."))
options: dict[str, Any] = dict(parse_qsl(url.query))

if url.scheme == "mysql+pymysql":
    import pymysql

    # Django asks for `MySQLdb`; this is how PyMySQL's own documentation lets it stand in.
    pymysql.install_as_MySQLdb()

if "ssl_ca" in options:
    options["ssl"] = {"ca": options.pop("ssl_ca")}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends." + ("mysql" if url.scheme.startswith("mysql") else "postgresql"),
        "HOST": options.pop("host", None) or url.hostname or "",
        "PORT": options.pop("port", None) or url.port or "",
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "NAME": url.path.lstrip("/"),
        "OPTIONS": options,
        # A connection outlives the request that opened it: the case in which forking meets one.
        "CONN_MAX_AGE": None,
    }
}
if url.scheme.startswith("postgres"):
    # The same database through Django's connection pool, which only PostgreSQL has. A pooled connection goes
    # back at the end of a request, so Django refuses to have it outlive the request as well.
    DATABASES["pooled"] = {
        **DATABASES["default"],
        "OPTIONS": {**options, "pool": {"min_size": 2, "max_size": 4}},
        "CONN_MAX_AGE": 0,
    }
INSTALLED_APPS = ["django_examples"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
