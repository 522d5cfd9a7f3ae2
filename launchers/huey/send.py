"""Sends a task for each number that comes in on standard input."""

import sys

from shop.tasks import order

for line in sys.stdin:
    order(int(line))
