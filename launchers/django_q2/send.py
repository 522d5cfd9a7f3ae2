"""Sends a task for each number that comes in on standard input."""

import sys

import django

django.setup()

from django_q.tasks import async_task  # models can be imported only once Django is set up

for line in sys.stdin:
    async_task("shop.jobs.print_order", int(line))
