"""What is collected: tests in a browser and of the built site only where they can run, in sessions of their own."""

from __future__ import annotations

import importlib.util

#: Folders of tests, by the module that the session's environment has for them.
_NEEDS = {"browser": "playwright", "site": "sphinx"}
collect_ignore = [folder for folder, module in _NEEDS.items() if not importlib.util.find_spec(module)]
