"""Prints bytes that are no transcript, some of them no text either."""

import os

os.write(1, bytes(range(256)) * 40 + b"\n25:61:00.000000 parent 1 look up 1: order 1, session 1\n")
