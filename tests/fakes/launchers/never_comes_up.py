"""Says that it starts, and never listens."""

import time

print("starting", flush=True)
time.sleep(600)
