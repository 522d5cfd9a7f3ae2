"""Children are started by `spawn` or `forkserver` and inherit no connection.

Remedy. With the start method `spawn` a child is a new interpreter; with `forkserver` it is forked from a server
process that was itself started as a new interpreter and has no connections. Neither has the parent's sockets, so
there is nothing to close or discard, with any driver. Each child costs an interpreter and its imports, and the
function and its arguments must be picklable: an engine is not. The main module is imported again in the child, so it
needs `if __name__ == "__main__"`, and it creates its own engine there.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

import multiprocessing

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import DATABASE_URL, insert, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)


def start_worker(method, work, *args):
    """Run `work(*args)` in a new process, by `spawn` or `forkserver`."""
    process = multiprocessing.get_context(method).Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child(number):
    look_up(engine, number)


def main():
    prepare()
    with Session(engine) as session:
        look_up(session, 1)
        insert(session, 1001)
        wait_for(start_worker("spawn", child, 101))
        look_up(session, 2)
        wait_for(start_worker("forkserver", child, 201))
        look_up(session, 3)
        step("commit", session.commit)


if __name__ == "__main__":
    main()
