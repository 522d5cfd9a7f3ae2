"""The WSGI application: `GET /<number>` looks up an order."""

from shop.orders import look_up


def application(environ, start_response):
    """Answer a request."""
    order = look_up(int(environ["PATH_INFO"].strip("/")))
    start_response("200 OK" if order else "500 Internal Server Error", [("Content-Type", "text/plain")])
    return [str(order).encode()]
