"""Ends while a grandchild that has left session, group and pipes sleeps on."""

import os
import sys
import time
from pathlib import Path

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        Path(sys.argv[1]).write_text(str(os.getpid()))
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        time.sleep(600)
    os._exit(0)
os.wait()
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
print("begun", flush=True)
