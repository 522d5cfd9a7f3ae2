"""Looks up orders in forked processes, twice, and in this process meanwhile and afterwards."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from shop.jobs import print_order


def work(numbers, own):
    """Look up orders in three workers, and one here."""
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as executor:
        tasks = [executor.submit(print_order, number) for number in numbers]
        print_order(own)
    for task in tasks:
        task.result()


def main():
    """Do so twice: the workers of the second time are new."""
    work(range(101, 176), 2)
    print_order(3)
    work(range(176, 251), 4)
    print_order(5)


if __name__ == "__main__":
    main()
