"""The extension, which makes the engine."""

from flask_sqlalchemy import SQLAlchemy

# {setup}

db = SQLAlchemy()
