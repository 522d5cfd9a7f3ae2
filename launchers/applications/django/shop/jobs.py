"""Jobs: what processes run that serve no requests."""

import django

django.setup()

from shop.orders import look_up  # noqa: E402, F401 - models can be imported only once Django is set up
