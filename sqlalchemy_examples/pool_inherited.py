"""Parent and child take connections from one inherited pool at the same time.

Hazard. The fork copies the pool's list of connections, and both processes take the same one from its head: they share
one server session, and no error reports it. Without TLS each process gets its result as long as they take turns. With
TLS each process keeps its own TLS sequence number: the child's query fails with "bad record mac", and the session
ends for both.
"""

import multiprocessing

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, check_out, look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the pool of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def open_pool(engine):
    """Open two connections and return them, so that the pool holds idle connections."""
    with engine.connect(), engine.connect():
        pass


# What happens.


def child(engine, parent_holds):
    parent_holds.wait()
    first = check_out(engine)
    look_up(first, 101)


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    step("open", open_pool, engine)
    parent_holds = multiprocessing.get_context("fork").Event()
    worker = start_worker(child, engine, parent_holds)
    first = check_out(engine)
    look_up(first, 1)
    parent_holds.set()
    wait_for(worker)
    look_up(first, 2)


if __name__ == "__main__":
    main()
