"""Ends while a daemon sleeps on that has left session, group, pipes and ancestors, and has another program's name."""

import os
import time

reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(writer, str(os.getpid()).encode())
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.execve("/bin/sleep", ["another-name", "600"], {})
    os._exit(0)
os.wait()
print(int(os.read(reader, 20)), flush=True)
time.sleep(0.1)  # it has executed its program by then
