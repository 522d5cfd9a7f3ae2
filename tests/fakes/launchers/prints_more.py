"""Loads an application that cannot be imported, prints the traceback, and a line of its own."""

import importlib
import sys
import traceback

try:
    importlib.import_module("shop_that_is_not_there")
except ImportError:
    traceback.print_exc()
    print("no application was loaded, giving up", file=sys.stderr)
    sys.exit(22)
