"""Jobs: what processes run that serve no requests."""

import logging

from shop.orders import look_up

look_up(1)


def print_order(number):
    """Print what was ordered, or log why it could not be read."""
    try:
        print(f"{number}: {look_up(number)}", flush=True)
    except Exception:
        logging.exception("order %d", number)
