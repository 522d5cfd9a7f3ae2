"""Says which modules it was started with, which descriptors are open, and how many threads there are."""

import os
import sys
from pathlib import Path

print(*sorted(sys.modules))
print(*sorted(int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists()))
print(len(os.listdir("/proc/self/task")))  # noqa: PTH208 - counts
