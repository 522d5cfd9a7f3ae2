"""Ends at once, and goes on as a daemon that listens."""

import os
import socket
import sys
import time

print("going to the background", flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        time.sleep(0.5)
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(sys.argv[1])
        listening.listen()
        time.sleep(600)
    os._exit(0)
