"""Is killed by a segmentation fault in the middle of a look-up."""

import os
import signal

print("10:00:00.000001 parent   100 look up 1", flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
