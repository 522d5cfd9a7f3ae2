"""Closes its output and goes on for ever."""

import os
import time

print("10:00:00.000001 parent   100 look up 1", flush=True)
os.close(1)
os.close(2)
time.sleep(600)
