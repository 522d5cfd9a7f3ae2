"""Looks up an order and gets it."""

from step_records import report

report("prepare")
report("prepare", result="done", text="tcp")
report("look up", 1)
report("look up", 1, "order", order=1, session=7)
