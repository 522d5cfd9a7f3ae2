"""Begins a look-up that is never answered, and has a child that waits as well."""

import os
import time

print("10:00:00.000001 parent   100 look up 1", flush=True)
os.fork()
time.sleep(600)
