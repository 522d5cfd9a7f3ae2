"""The child shuts down the inherited connection's socket, below the driver.

Hazard. `shutdown(2)` shuts a socket down for every process that holds a descriptor of it; `close(2)` affects only the
process that calls it. The driver is not involved: the parent has lost its session, and to the server it looks as if
the program had vanished without a termination message.

Needs: descriptor
"""

import multiprocessing
import os
import socket

from drivers.helper import connect, descriptor, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def shut_down(connection):
    """Call this first in the worker: shut the inherited socket down, so that the driver can send nothing on it."""
    with socket.socket(fileno=os.dup(descriptor(connection))) as inherited:
        inherited.shutdown(socket.SHUT_RDWR)


# What happens.


def child(inherited):
    step("shut down", shut_down, inherited)
    own = connect()
    look_up(own, 101)


def main():
    prepare()
    connection = connect()
    look_up(connection, 1)
    wait_for(start_worker(child, connection))
    look_up(connection, 2)
    look_up(connection, 3)


if __name__ == "__main__":
    main()
