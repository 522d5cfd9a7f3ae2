"""Computes for as many seconds as it is told, and says something only then."""

import sys
import time

print("begun", flush=True)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    pass
print("ended", flush=True)
