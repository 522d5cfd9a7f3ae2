"""Several processes use the inherited connection at the same time: each asks while another's answer is on its way.

Hazard. Answers come in the order of the questions, and whoever reads first takes the first one: every process is handed
another's row, without an error, one after the other. Nothing in either protocol says whom an answer is for. With TLS
that happens once: then the server meets a record that it cannot decrypt and ends the session for everybody. Where two
answers arrive together one process swallows both, and another waits for ever; the server holds its answers back here
so that it does not come to that.

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import multiprocessing
import os
import signal

from django_examples.helper import hold_answers, look_up, prepare, release_answer, wait_for, wait_until_asked

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process, which uses the connection of its parent."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens. The server holds back each answer until its asker has got another's, so that answers come one by one.


def suspended_child():
    look_up(101, held=True)


def child(number):
    look_up(number, held=True)


def main():
    prepare()
    look_up(1)
    holder = hold_answers()
    suspended = start_worker(suspended_child)
    wait_until_asked(holder)
    # The kernel may suspend a process at any moment. Here it is between question and answer, and for long.
    os.kill(suspended.pid, signal.SIGSTOP)
    os.waitpid(suspended.pid, os.WUNTRACED)  # kill() does not wait for that
    release_answer(holder)
    look_up(2, held=True)
    release_answer(holder)
    wait_for(start_worker(child, 201))
    release_answer(holder)
    look_up(3, held=True)
    release_answer(holder)
    wait_for(start_worker(child, 301))
    release_answer(holder)
    look_up(4, held=True)
    release_answer(holder)
    os.kill(suspended.pid, signal.SIGCONT)
    wait_for(suspended)


if __name__ == "__main__":
    main()
