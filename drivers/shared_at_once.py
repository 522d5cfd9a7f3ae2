"""Several processes use the inherited connection at the same time: each queries while another's reply is in flight.

Hazard. The server replies in the order of the queries, and the process that reads first takes the first reply: each
process gets another's row, without an error. Nothing in either protocol says which process a reply is for. With TLS
that happens once: then the server receives a record that it cannot decrypt and ends the session for every process. If
two replies arrive together, one process reads both and another waits forever; here the server holds its replies back,
so that this does not happen.
"""

import multiprocessing
import os
import signal

from drivers.helper import connect, hold_replies, look_up, prepare, release_reply, wait_for, wait_until_held

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens. The server holds back each reply until the process that waits for it has read another, so that replies
# arrive one by one. If the child has a session of its own, no process waits for the wrong reply, and none is held.


def suspended_child(inherited):
    look_up(inherited, 101, held=True)


def child(inherited, number):
    look_up(inherited, number, held=True)


def main():
    prepare()
    connection = connect()
    look_up(connection, 1)
    holder = hold_replies()
    suspended = start_worker(suspended_child, connection)
    wait_until_held(holder, shared=True)
    # The kernel may suspend a process at any moment. Here it does so between query and reply, for a long time.
    os.kill(suspended.pid, signal.SIGSTOP)
    # kill() does not wait for that. A child that got an error has exited, and is still to be waited for.
    os.waitid(os.P_PID, suspended.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    release_reply(holder)
    # After an error, which process reads which reply is not forced any more, and no reply is held.
    release_reply(holder, hold=look_up(connection, 2, held=True) is not None)
    wait_for(start_worker(child, connection, 201))
    release_reply(holder)
    release_reply(holder, hold=look_up(connection, 3, held=True) is not None)
    wait_for(start_worker(child, connection, 301))
    release_reply(holder)
    release_reply(holder, hold=look_up(connection, 4, held=True) is not None)
    if suspended.is_alive():
        os.kill(suspended.pid, signal.SIGCONT)
    wait_for(suspended)


if __name__ == "__main__":
    main()
