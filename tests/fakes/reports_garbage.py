"""Reports something that is no record, and then what would be one."""

from step_records import report, write

write('{"who": "parent", "rumour": true}')
report("look up", 1)
