"""Several processes use the inherited connection at the same time: each asks while another's answer is on its way.

Hazard. Answers come in the order of the questions, and whoever reads first takes the first one: every process is handed
another's row, without an error, one after the other. Nothing in either protocol says whom an answer is for. With TLS
that happens once: then the server meets a record that it cannot decrypt and ends the session for everybody. Where two
answers arrive together one process swallows both, and another waits for ever; the questions here take a while so that
it does not come to that. With an engine that opens transactions, `BEGIN` and `ROLLBACK` get answers of others too, and
most mix-ups end in errors: "This result object does not return rows", "Commands out of sync".

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import multiprocessing
import os
import signal

from sqlalchemy import create_engine

from sqlalchemy_examples.helper import DATABASE_URL, look_up, prepare, wait_for, wait_until_asked

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the pool of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens. Each question keeps the server busy for a while, so that its answer comes alone.


def suspended_child(engine):
    look_up(engine, 101, seconds=1.0)


def child(engine, number):
    look_up(engine, number, seconds=0.05)
    look_up(engine, number + 1, seconds=0.05)


def main():
    prepare()
    # An engine for reading: no BEGIN before a question and no ROLLBACK after it.
    engine = create_engine(DATABASE_URL, isolation_level="AUTOCOMMIT", skip_autocommit_rollback=True)
    look_up(engine, 1)
    suspended = start_worker(suspended_child, engine)
    wait_until_asked()
    # The kernel may suspend a process at any moment. Here it is between question and answer, and for long.
    os.kill(suspended.pid, signal.SIGSTOP)
    look_up(engine, 2, seconds=0.05)
    wait_for(start_worker(child, engine, 201))
    look_up(engine, 3, seconds=0.05)
    wait_for(start_worker(child, engine, 301))
    look_up(engine, 4, seconds=0.05)
    os.kill(suspended.pid, signal.SIGCONT)
    wait_for(suspended)


if __name__ == "__main__":
    main()
