"""Ends with a traceback before it has done anything."""

raise ImportError("no such driver")
