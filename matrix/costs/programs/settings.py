"""The settings of the Django project, with an alias for each way to hold connections."""

from typing import Any

from django_examples.settings import DATABASES as _EXAMPLES
from django_examples.settings import DEFAULT_AUTO_FIELD, INSTALLED_APPS, USE_TZ

__all__ = ["DATABASES", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "TITLES", "USE_TZ"]

_default: dict[str, Any] = _EXAMPLES["default"]
DATABASES = {
    "default": {**_default, "CONN_MAX_AGE": None},
    "health_check": {**_default, "CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True},
    "connect": {**_default, "CONN_MAX_AGE": 0},
}
TITLES = {
    "open": "`CONN_MAX_AGE = None`",
    "health_check": "`CONN_HEALTH_CHECKS`",
    "connect": "`CONN_MAX_AGE = 0`",
}
if "pooled" in _EXAMPLES:
    DATABASES["pool"] = _EXAMPLES["pooled"]
    DATABASES["pool_health_check"] = {**_EXAMPLES["pooled"], "CONN_HEALTH_CHECKS": True}
    TITLES |= {"pool": '`OPTIONS["pool"]`', "pool_health_check": '`OPTIONS["pool"]` and `CONN_HEALTH_CHECKS`'}
