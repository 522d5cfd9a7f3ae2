"""Begins to prepare, and is ready a second later."""

import os
import time

from report import report

print("preparing", flush=True)
if "STEP_RECORDS" in os.environ:
    report("prepare")
time.sleep(1)
if "STEP_RECORDS" in os.environ:
    report("prepare", result="done", text="tcp")
print("prepared", flush=True)
