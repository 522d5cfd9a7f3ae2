"""The harness: finds examples and drivers, runs the cells, judges, reports."""
