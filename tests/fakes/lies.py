"""Reports that it has committed a write which it never made."""

from step_records import report

report("insert", 1001)
report("insert", 1001, "done")
report("commit")
report("commit", result="done")
