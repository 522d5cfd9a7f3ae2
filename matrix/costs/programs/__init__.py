"""Programs that measure, each run in a driver's environment with DATABASE_URL; they import nothing of the harness.

Each takes the number of rounds as its argument. A round measures everything once, one after the other, so that noise
hits all of it alike. What was measured is the last line that a program prints: a JSON object with a list of
nanoseconds for each thing measured, an entry for each round.
"""
