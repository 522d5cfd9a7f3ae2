"""Looks up orders in forked processes, twice, and in this process meanwhile and afterwards."""

import os
import sys

from shop.jobs import print_order


def start_worker(numbers):
    """Look up orders in a forked process, and return its pid."""
    pid = os.fork()
    if pid == 0:
        for number in numbers:
            print_order(number)
        sys.exit()
    return pid


def work(first, own):
    """Look up 25 orders in each of three workers, and one here."""
    workers = [start_worker(range(start, start + 25)) for start in range(first, first + 75, 25)]
    print_order(own)
    for pid in workers:
        os.waitpid(pid, 0)


def main():
    """Do so twice: the workers of the second time are new."""
    work(101, 2)
    print_order(3)
    work(176, 4)
    print_order(5)


if __name__ == "__main__":
    main()
