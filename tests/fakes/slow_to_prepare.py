"""Says that it prepares, and is ready a second later."""

import time

print("10:00:00.000001 parent   100 prepare", flush=True)
time.sleep(1)
print("10:00:01.000002 parent   100 prepare: done, over tcp", flush=True)
