"""The Flask application, which runs a query when it is made: `GET /<number>` looks up an order."""

import os

from flask import Flask

from shop.db import db
from shop.orders import look_up

application = Flask(__name__)
application.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db.init_app(application)
with application.app_context():
    look_up(1)


@application.get("/<int:number>")
def order(number):
    """Answer a request."""
    item = look_up(number)
    return str(item), 200 if item else 404
