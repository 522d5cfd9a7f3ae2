"""Another thread has a query in flight when the process forks, and the child runs a query too.

Hazard. None so far: Django opens a connection per thread, so the child does not find the one in use and opens its
own. The inherited connection is never deallocated in the child, because what a thread's stack refers to stays there
forever. Threads that share a connection, as they do without Django, are affected (see
drivers/forked_with_threads.py).
"""

import gc
import multiprocessing
import threading

from django_examples.helper import hold_replies, look_up, prepare, release_reply, step, wait_for, wait_until_held

# The pattern.


def start_thread(work, *args):
    """Run `work(*args)` in a thread of this process."""
    thread = threading.Thread(target=work, args=args, name="report")
    thread.start()
    return thread


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which runs its own queries."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def report():
    look_up(1)
    look_up(2, held=True)
    look_up(3)


def child():
    step("collect", gc.collect)
    look_up(101)


def main():
    prepare()
    holder = hold_replies()
    thread = start_thread(report)
    wait_until_held(holder)
    wait_for(start_worker(child))
    release_reply(holder)
    thread.join()


if __name__ == "__main__":
    main()
