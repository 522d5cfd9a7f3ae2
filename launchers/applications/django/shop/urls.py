"""`GET /<number>` looks up an order."""

from django.http import HttpResponse
from django.urls import path

from shop.orders import look_up


def order(request, number):
    """Answer a request."""
    return HttpResponse(status=200 if look_up(number) else 500)


urlpatterns = [path("<int:number>", order)]
