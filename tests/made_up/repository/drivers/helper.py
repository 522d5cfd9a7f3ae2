"""What the made-up examples share: they report what real ones would, and connect to nothing."""

import json
import os
import sys
import types
from urllib.parse import parse_qs, urlsplit

url = urlsplit(os.environ["DATABASE_URL"])
driver = url.scheme.rpartition("-")[2]
transport = parse_qs(url.query)["over"][0]
#: What a remedy changes: whether processes open connections of their own.
program = types.SimpleNamespace(apart=False)


def write(line):
    """Write one line into the pipe, whatever it is."""
    pipe = os.open(os.environ["STEP_RECORDS"], os.O_WRONLY)
    os.write(pipe, line.encode() + b"\n")
    os.close(pipe)


def report(action, about=None, result=None, who="parent", **fields):
    """Write one step record; fields that are None are left out."""
    record = {"type": "step", "who": who, "action": action, "about": about, "result": result, "pid": os.getpid()}
    write(json.dumps({name: value for name, value in (record | fields).items() if value is not None}))


def look_up(who, number, order, session):
    """Report a look-up that read an order."""
    report("look up", number, who=who)
    report("look up", number, "order", who, order=order, session=session)


def prepare(**identity):
    """Report the preparations and the driver that the URL names, unless `identity` says otherwise."""
    used = {
        "type": "identity",
        "pid": os.getpid(),
        "module": f"made_up_{driver}",
        "distribution": f"made-up-{driver}",
        "version": "1.0",
        "implementation": "python",
        "server": "7.1",
        "stack": "bare",
    }
    report("prepare")
    write(json.dumps(used | identity))
    report("prepare", result="done", text=transport)


def mode():
    """Return what the test wants to go wrong, nothing usually."""
    return os.environ.get("MADE_UP", "") or None


sys.stdout.write("a made-up example\n")
