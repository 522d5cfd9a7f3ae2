"""Ends while a grandchild of its group sleeps on and holds the pipe open."""

import os
import time

print("begun", flush=True)
print("ended", flush=True)
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
os.wait()
