"""Another thread has an open transaction when the process forks; the child does not use it.

Hazard. A `scoped_session` protects threads from one another, but not from a fork: in the child the interpreter clears
what belonged to threads that do not exist there, and the garbage collector finds the session. SQLAlchemy then returns
its connection to the child's pool and rolls it back first: the `ROLLBACK` reaches the server on the session that the
thread in the parent is using. The thread's commit is confirmed, with every driver, and its order is not on the
server. With TLS the parent gets an error. A session with a query in flight is not collected, because the thread's
stack refers to it (forked_with_threads).
"""

import gc
import multiprocessing
import threading

from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from sqlalchemy_examples.helper import DATABASE_URL, insert, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)
Session = scoped_session(sessionmaker(engine))  # Session() is this thread's own


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def write(written, forked):
    insert(Session(), 1001)
    written.set()
    forked.wait()
    step("commit", Session.commit)


def child():
    # Python's garbage collector runs by itself sooner or later.
    step("collect", gc.collect)


def main():
    prepare()
    written, forked = threading.Event(), threading.Event()
    thread = threading.Thread(target=write, args=(written, forked), name="writer")
    thread.start()
    written.wait()
    wait_for(start_worker(child))
    forked.set()
    thread.join()


if __name__ == "__main__":
    main()
