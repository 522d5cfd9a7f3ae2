"""Children are started by `spawn` or `forkserver` and inherit no connection.

Remedy. With the start method `spawn` a child is a new interpreter; with `forkserver` it is forked from a server
process that was itself started as a new interpreter and has no connections. Neither has the parent's sockets, so
there is nothing to close or discard, with any driver. Each child costs an interpreter, its imports and Django's
set-up: tenths of a second, while a fork takes milliseconds, and arguments must be picklable. The main module is
imported again in the child, so it needs `if __name__ == "__main__"`; what is set up under that line does not exist in
the child. Models cannot be imported before Django is set up, and unpickling a function imports its module, so the
function is passed as a dotted path.
https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods
"""

import multiprocessing

import django
from django.db import transaction
from django.utils.module_loading import import_string

from django_examples.helper import insert, look_up, prepare, step, wait_for

# The pattern.


def start_worker(method, path, *args):
    """Run the function at a dotted path in a new process, by `spawn` or `forkserver`."""
    process = multiprocessing.get_context(method).Process(target=run, args=(path, *args))
    process.start()
    return process


def run(path, *args):
    """Call this first in the child: set Django up in the new process; DJANGO_SETTINGS_MODULE is inherited."""
    django.setup()
    import_string(path)(*args)


# What happens.


def child(number):
    look_up(number)


def main():
    prepare()
    step("begin", transaction.set_autocommit, False)
    look_up(1)
    insert(1001)
    wait_for(start_worker("spawn", f"{__package__}.spawned_children.child", 101))
    look_up(2)
    wait_for(start_worker("forkserver", f"{__package__}.spawned_children.child", 201))
    look_up(3)
    step("commit", transaction.commit)


if __name__ == "__main__":
    main()
