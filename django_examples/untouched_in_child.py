"""The child touches nothing and leaves as `multiprocessing` children do, by `os._exit()`.

Hazard. None so far: `os._exit()` ends the process without deallocating anything, so that no driver says goodbye, and
the parent keeps its session. It holds as long as nobody in the child uses, closes or drops Django's connection, and the
child does not leave by `sys.exit()` after `os.fork()` (exited_child).

Remedies: discarded_in_child, discarded_at_fork, closed_before_fork
"""

import multiprocessing

from django_examples.helper import look_up, prepare, step, wait_for

# The pattern.


def start_worker(work, *args):
    """Run `work(*args)` in a forked process."""
    process = multiprocessing.get_context("fork").Process(target=work, args=args)
    process.start()
    return process


# What happens.


def child():
    step("work", sum, range(1000))


def main():
    prepare()
    look_up(1)
    wait_for(start_worker(child))
    look_up(2)
    look_up(3)


if __name__ == "__main__":
    main()
