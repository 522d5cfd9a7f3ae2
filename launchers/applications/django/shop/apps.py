"""The app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Runs a query when Django is set up."""

    name = "shop"

    def ready(self):
        from shop.orders import look_up

        look_up(1)
