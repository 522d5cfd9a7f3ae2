"""The child opens a connection of its own.

Remedy. Every process reads its own rows.

Points:
    start: keep_apart(program)
"""

from drivers import helper
from drivers.helper import look_up, prepare

# The pattern.


def keep_apart(program):
    """Have the program's processes open connections of their own."""
    program.apart = True


# What happens.


def main():
    keep_apart(helper.program)
    prepare()
    look_up("parent", 1, 1, 1)
    look_up("child 1", 101, 101, 2)
    look_up("parent", 2, 2, 1)


if __name__ == "__main__":
    main()
