"""Settings of the Django project: the database comes from `DATABASE_URL`, the backend from the driver's facts."""

import pkgutil
from typing import Any
from urllib.parse import parse_qsl, unquote

from example_support.driver import url, use

driver = use("django")
if "setup" in driver:
    pkgutil.resolve_name(driver["setup"])()

query = dict(parse_qsl(url.query))
host, port = query.pop("host", url.hostname), query.pop("port", url.port)
options: dict[str, Any] = {}
for name, value in query.items():
    *tables, key = driver.get("options", {}).get(name, name).split(".")
    table = options
    for outer in tables:
        table = table.setdefault(outer, {})
    table[key] = value

DATABASES = {
    "default": {
        "ENGINE": driver["engine"],
        "HOST": host or "",
        "PORT": port or "",
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "NAME": url.path.lstrip("/"),
        "OPTIONS": options,
        # A connection outlives the request that opened it: the case in which forking meets one.
        "CONN_MAX_AGE": None,
    }
}
if "pool" in driver.get("capabilities", ()):
    # The same database through Django's own connection pool. A pooled connection goes back at the end of a request, so
    # Django does not allow it to outlive the request as well.
    DATABASES["pooled"] = {
        **DATABASES["default"],
        "OPTIONS": {**options, "pool": {"min_size": 2, "max_size": 4}},
        "CONN_MAX_AGE": 0,
    }
INSTALLED_APPS = ["django_examples"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
