"""The child opens a connection of its own.

Remedy. Every process reads its own rows.

Remedy for: shares
"""

from drivers.helper import look_up, prepare

# The pattern.

# What happens.


def main():
    prepare()
    look_up("parent", 1, 1, 1)
    look_up("child 1", 101, 101, 2)
    look_up("parent", 2, 2, 1)


if __name__ == "__main__":
    main()
