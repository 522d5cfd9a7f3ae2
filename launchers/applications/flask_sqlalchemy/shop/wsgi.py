"""The Flask application, which runs a query when it is made."""

import os

from flask import Flask

from shop.db import db
from shop.orders import introduce, look_up

application = Flask(__name__)
application.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db.init_app(application)
with application.app_context():
    introduce()
    look_up(1)


@application.get("/<int:number>")
def order(number):
    """Answer a request."""
    return "", 200 if look_up(number) else 500
