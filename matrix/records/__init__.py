"""Typed records, one definition each, and the files that hold them. Imports nothing of the other rooms."""
