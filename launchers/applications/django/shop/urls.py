"""`GET /<number>` looks up an order."""

from django.http import HttpResponse
from django.urls import path

from shop.orders import look_up


def order(request, number):
    """Answer a request."""
    item = look_up(number)
    return HttpResponse(str(item), status=200 if item else 404)


urlpatterns = [path("<int:number>", order)]
