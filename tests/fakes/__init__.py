"""Programs with names that stand in for examples in the tests of the harness: each does what it is called."""
