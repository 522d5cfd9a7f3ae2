"""Listens, closes each connection, and has no application."""

import socket
import sys

listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listening", flush=True)
while True:
    listening.accept()[0].close()
