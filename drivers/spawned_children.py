"""Children that are spawned inherit nothing, neither directly nor through a fork server.

Remedy. With the start method `spawn` a child is a new interpreter; with `forkserver` it is forked from a
server that was started as one, before it held anything. Neither has the parent's sockets, so nobody has to
close, discard or remember anything, whatever the driver. Each child pays for an interpreter and its imports
(COST), and work and arguments must be picklable: a connection is not. The main module is imported again in
the child, hence `if __name__ == "__main__"`.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods

Remedy for: shared_in_turn, shared_at_once, closed_in_child, dropped_in_child, exited_child, crashed_child,
closed_inside_transaction, committed_in_child, rolled_back_in_child, forked_while_reading, forked_with_threads,
ended_during_query
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
