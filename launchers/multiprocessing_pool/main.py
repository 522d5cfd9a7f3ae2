"""Looks up orders in forked processes, which are replaced after some tasks, and in this process meanwhile."""

from multiprocessing import get_context

from shop.jobs import print_order


def work(numbers, own):
    """Look up orders in three workers, and one here."""
    with get_context("fork").Pool(3, maxtasksperchild=20) as pool:
        tasks = [pool.apply_async(print_order, [number]) for number in numbers]
        print_order(own)
        for task in tasks:
            task.get()


def main():
    """Do so, and look up another order here afterwards."""
    work(range(101, 251), 2)
    print_order(3)


if __name__ == "__main__":
    main()
