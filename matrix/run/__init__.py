"""Plans what to run, runs cells, judges them, and compares them with the claims."""
