"""The Django ORM. A unit of work is a request that looks up one order."""

import os
from functools import partial
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "matrix.costs.programs.settings"

from django.core.signals import request_finished, request_started
from django.db import DEFAULT_DB_ALIAS, connections

from django_examples.helper import prepare
from django_examples.models import Order
from matrix.costs.programs.settings import DATABASES, TITLES

__all__ = ["TITLES", "WAYS", "look_up", "open_connections", "prepare"]


def look_up(number: int, alias: str = DEFAULT_DB_ALIAS) -> None:
    """Do what a request to a view does that looks up one order."""
    request_started.send(sender=None)
    assert Order.objects.using(alias).get(pk=number).id == number
    request_finished.send(sender=None)


WAYS = {"open": look_up, **{alias: partial(look_up, alias=alias) for alias in DATABASES if alias != DEFAULT_DB_ALIAS}}


def open_connections(count: int) -> list[Any]:
    """Open connections that forked processes discard, each of an alias of its own, and return them."""
    from django_examples.discarded_at_fork import install  # noqa: PLC0415 - only one program needs the pattern

    install()
    opened = []
    for number in range(count):
        alias = f"copy {len(connections.databases)} {number}"
        connections.databases[alias] = connections.databases[DEFAULT_DB_ALIAS]
        connections[alias].ensure_connection()
        opened.append(connections[alias])
    return opened
