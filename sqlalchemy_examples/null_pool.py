"""Every connection is closed at the end of its unit of work, so none is open when the process forks.

Remedy. With `NullPool` a connection is closed as soon as it is returned: the first of the four approaches in
SQLAlchemy's manual. A process that forks between units of work shares nothing. The cost is a connection, and with TLS
a handshake, per unit of work, and the session's temporary tables, settings and locks end with it. It protects only
between units: a connection that is checked out when the process forks is inherited.
https://docs.sqlalchemy.org/en/21/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork

Points:
    connect: engine = create_engine(DATABASE_URL, poolclass=NullPool)
"""

import multiprocessing

from sqlalchemy import NullPool, create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, wait_for

# The pattern.

engine = create_engine(DATABASE_URL, poolclass=NullPool)


# What happens.


def start_worker(work, *args):
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def child():
    look_up(engine, 101)


def main():
    prepare()
    look_up(engine, 1)
    wait_for(start_worker(child))
    look_up(engine, 2)


if __name__ == "__main__":
    main()
