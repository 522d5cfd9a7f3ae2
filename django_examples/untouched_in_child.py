"""The child does not use the connection and exits via `os._exit()`, as `multiprocessing` children do.

Hazard. None so far: `os._exit()` ends the process without deallocating anything, so no driver sends the termination
message, and the parent keeps its session. This holds as long as the child does not use, close or drop Django's
connection, and does not exit via `sys.exit()` after `os.fork()` (exited_child).
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
