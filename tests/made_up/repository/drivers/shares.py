"""The child goes on with the connection of its parent.

Hazard. With the first driver it works, with the second the parent reads the child's row.
"""

import os
import signal
import time

from drivers.helper import driver, look_up, mode, prepare, program, report, write

# The pattern.

# What happens.


def main():
    wrong = mode()
    if wrong == "another driver":
        prepare(module="made_up_other", distribution="made-up-other")
    elif wrong == "another version":
        prepare(version="2.0")
    elif wrong == "another implementation":
        prepare(implementation="c")
    elif wrong == "another server":
        prepare(server="8.0")
    elif wrong == "no identity":
        report("prepare", result="done", text="tcp")
    else:
        prepare()
    if wrong == "unreadable":
        write('{"type": "step", "who": "parent", "action": "look up", "rows": 3}')
    if wrong == "hang":
        report("look up", 1)
        time.sleep(600)
    if wrong == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if wrong == "failure":
        raise ValueError("made-up failure")
    look_up("parent", 1, 1, 1)
    look_up("child 1", 101, 101, 2)
    right = program.apart or (driver == "first" and wrong != "wrong row")
    look_up("parent", 2, 2 if right else 101, 1)


if __name__ == "__main__":
    main()
