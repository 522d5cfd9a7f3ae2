"""The engine that the whole program shares."""

import os

from sqlalchemy import create_engine

# {setup}

engine = create_engine(os.environ["DATABASE_URL"])
