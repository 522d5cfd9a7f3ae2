"""Parent and child use the inherited connection one after the other, never at the same time.

Hazard. Without TLS every process gets its result, on one server session, because each reply is read before the next
query is sent. That is luck, not safety. With TLS each process keeps its own TLS sequence numbers. What the child
sends and receives advances its own numbers and the server's, but not the parent's: the parent's next query fails with
"bad record mac", on both sides, and the session ends for every process.
"""

import multiprocessing

from django_examples.helper import look_up, prepare, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child(number):
    look_up(number)
    look_up(number + 1)


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child, 101))
    look_up(2)
    wait_for(start_worker(child, 201))
    look_up(3)


if __name__ == "__main__":
    main()
