"""Ends before it listens."""

import sys

print("starting", flush=True)
sys.exit("Error: no worker could be started")
