"""The app."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Runs a query when Django is set up."""

    name = "shop"

    def ready(self):
        from shop.orders import introduce, look_up

        introduce()
        look_up(1)
