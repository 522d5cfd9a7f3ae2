"""Settings with the queue, which is a table of the database."""

from shop.settings import *

INSTALLED_APPS += ["django_q"]
Q_CLUSTER = {"orm": "default", "workers": 3, "recycle": 10, "poll": 0.1, "timeout": 30, "retry": 60}
