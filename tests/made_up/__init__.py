"""A small repository for the tests of the harness: two drivers, two examples and a server that do not exist."""
