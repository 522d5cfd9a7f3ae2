"""Begins to prepare, and is ready a second later."""

import time

from step_records import report

print("preparing", flush=True)
report("prepare")
time.sleep(1)
report("prepare", result="done", text="tcp")
print("prepared", flush=True)
