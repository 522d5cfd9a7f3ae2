"""The program's connection."""

from example_support import driver

connection = None


def connected():
    """Return the program's connection, which is opened when it is first needed."""
    global connection  # noqa: PLW0603 - a property of the process
    if connection is None:
        connection = driver.connection.connect(driver.url)
    return connection


def close():
    """Close the connection, if there is one."""
    global connection  # noqa: PLW0603 - as above
    if connection is not None:
        connection.close()
        connection = None
