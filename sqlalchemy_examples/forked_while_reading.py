"""A result is half read when the process forks, and both processes continue to read it.

Hazard. Both processes have a copy of the rows that were in the client's memory, and share the rest. On PostgreSQL
`yield_per` opens a cursor on the server, and each `FETCH` advances the session's one cursor: rows that the child
fetched never reach the parent, and there is no error. On MySQL the rows are already in flight, and what the child
reads from the socket is missing from the parent's stream. PyMySQL checks the packets' sequence numbers and raises
"Packet sequence number wrong", which SQLAlchemy reports as `InterfaceError`; mysqlclient's C library does not, and the
parent continues with later rows. With TLS the parent cannot decrypt what follows the bytes that the child read, and
gets an error. The rows of this example have one size, so that the child's share ends where a row ends; with other rows
the parent continues in the middle of one: garbage, an exception, or an endless wait.
"""

import multiprocessing

from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from sqlalchemy_examples.helper import DATABASE_URL, SERVER_SESSION, Order, prepare, read, wait_for

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
    wait_for(start_worker(read_on, orders))
    read_on(orders)


if __name__ == "__main__":
    main()
