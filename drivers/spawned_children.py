"""Children are started by `spawn` or `forkserver` and inherit no connection.

Remedy. With the start method `spawn` a child is a new interpreter; with `forkserver` it is forked from a server
process that was itself started as a new interpreter and has no connections. Neither has the parent's sockets, so
there is nothing to close or discard, with any driver. Each child costs an interpreter and its imports, and the
function and its arguments must be picklable: a connection is not. The main module is imported again in the child, so
it needs `if __name__ == "__main__"`.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

import multiprocessing

from drivers.helper import connect, insert, look_up, prepare, step, wait_for

# The pattern.


def start_worker(method, work, *args):
    """Run `work(*args)` in a new process, by `spawn` or `forkserver`."""
    process = multiprocessing.get_context(method).Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child(number):
    look_up(connect(), number)


def main():
    prepare()
    connection = connect(autocommit=False)
    look_up(connection, 1)
    insert(connection, 1001)
    wait_for(start_worker("spawn", child, 101))
    look_up(connection, 2)
    wait_for(start_worker("forkserver", child, 201))
    look_up(connection, 3)
    step("commit", connection.commit)


if __name__ == "__main__":
    main()
