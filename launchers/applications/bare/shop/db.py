"""The program's connection."""

import os
from urllib.parse import urlsplit

# {connect}

connection = None


def connected():
    """Return the program's connection, which is opened when it is first needed."""
    global connection
    if connection is None:
        connection = connect(urlsplit(os.environ["DATABASE_URL"]))
    return connection


def close():
    """Close the connection, if there is one."""
    global connection
    if connection is not None:
        connection.close()
        connection = None
