"""The child lets go of the connections it inherited without closing them, and opens its own.

Hazard. A new engine takes the old one's place, and the garbage collector gets the old one's pool. Nobody closes
anything, and yet mysqlclient says goodbye: it calls `mysql_close()` when a connection object is deallocated, in
whatever process that is, and the server ends the parent's session (`COM_QUIT`). PyMySQL's finaliser only closes the
child's copy of the descriptor, and those of psycopg and psycopg2 leave a connection alone, descriptor and all, in a
process that did not open it: with these the parent notices nothing.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import gc
import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, step, wait_for

# The pattern.

engine = create_engine(DATABASE_URL)


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def drop_inherited():
    """First thing in the worker: an engine of its own in the inherited one's place; nothing is closed."""
    global engine
    engine = create_engine(DATABASE_URL)


# What happens.


def child():
    step("drop", drop_inherited)
    step("collect", gc.collect)
    look_up(engine, 101)


def main():
    prepare()
    look_up(engine, 1)
    wait_for(start_worker(child))
    look_up(engine, 2)
    look_up(engine, 3)


if __name__ == "__main__":
    main()
