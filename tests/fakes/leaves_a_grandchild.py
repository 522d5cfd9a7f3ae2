"""Ends while a grandchild of its group sleeps on and holds the pipe open."""

import os
import time

print("10:00:00.000001 parent   100 look up 1", flush=True)
print("10:00:00.000002 parent   100 look up 1: order 1, session 7", flush=True)
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
