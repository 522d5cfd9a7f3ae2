"""What is collected: the tests in a browser only where they can run, which is in the session `browser`."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("playwright") else ["browser"]
