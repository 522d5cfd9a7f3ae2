"""Jobs: what processes run that serve no requests."""

import logging

import django

django.setup()

from shop.orders import look_up  # models can be imported only once Django is set up


def print_order(number):
    """Print what was ordered, or log why it could not be read."""
    try:
        print(f"{number}: {look_up(number)}", flush=True)
    except Exception:
        logging.exception("order %d", number)
