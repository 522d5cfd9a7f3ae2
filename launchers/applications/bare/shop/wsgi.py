"""The WSGI application: `GET /<number>` looks up an order."""

from shop.orders import look_up

look_up(1)


def application(environ, start_response):
    """Answer a request."""
    item = look_up(int(environ["PATH_INFO"].strip("/")))
    start_response("200 OK" if item else "404 Not Found", [("Content-Type", "text/plain")])
    return [str(item).encode()]
