"""A result is half read when the process forks, and the child drops its copy of it.

Hazard. The session is closed when the generator is dropped, in whichever process, and with it the cursor. On
PostgreSQL this sends `CLOSE`, and the parent's next `FETCH` raises "cursor does not exist"; with TLS it fails with
"bad record mac". PyMySQL and mysqlclient read the rest of the rows from the socket, and the parent waits for them
forever; SQLAlchemy has Connector/Python load whole results.
"""

import multiprocessing

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import DATABASE_URL, SERVER_SESSION, Order, prepare, read, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


def all_orders(engine):
    """Yield all orders, too many to hold in memory at once."""
    # Rows of 1024 bytes each, so that a row begins wherever a client's buffer ends.
    padding = func.rpad("", 1015 - func.length(func.concat(Order.id, SERVER_SESSION)), ".")
    query = select(Order.id, SERVER_SESSION, padding).order_by(Order.id)
    with Session(engine) as session:
        yield from session.execute(query, execution_options={"yield_per": 10})


# What happens.


def drop(orders):
    step("drop", orders.close)


def read_on(orders):
    for number in range(6, 36):
        if read(orders, number) is None:
            break


def main():
    prepare()
    engine = create_engine(DATABASE_URL)
    orders = all_orders(engine)
    for number in range(1, 6):
        read(orders, number)
    wait_for(start_worker(drop, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
