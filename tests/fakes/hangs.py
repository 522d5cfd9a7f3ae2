"""Begins a look-up that never ends, and has a child that waits as well."""

import os
import time

from step_records import report

print("begun", flush=True)
report("prepare", result="done", text="tcp")
report("look up", 1)
os.fork()
time.sleep(600)
