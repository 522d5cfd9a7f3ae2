"""Listens, closes each connection, and does not exit when it is told to."""

import signal
import socket
import sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
while True:
    listening.accept()[0].close()
