"""Hangs and ignores every signal that can be ignored."""

import signal
import time

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
print("10:00:00.000001 parent   100 look up 1", flush=True)
time.sleep(600)
