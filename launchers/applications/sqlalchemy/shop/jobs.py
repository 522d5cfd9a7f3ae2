"""Jobs: what processes run that serve no requests."""

from shop.orders import look_up  # noqa: F401
