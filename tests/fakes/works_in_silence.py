"""Computes for as many seconds as it is told, and says something only then."""

import sys
import time

print("10:00:00.000001 parent   100 look up 1", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    pass
print("10:00:01.000002 parent   100 look up 1: order 1, session 7", flush=True)
