"""Says which modules it was started with."""

import sys

print(*sorted(sys.modules))
