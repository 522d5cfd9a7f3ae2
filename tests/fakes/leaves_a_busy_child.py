"""Ends while a child of its group, without its pipes, computes for as many seconds as it is told."""

import os
import sys
import time

if os.fork() == 0:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    until = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < until:
        pass
    os._exit(0)
print("begun", flush=True)
