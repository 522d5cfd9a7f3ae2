"""What the fakes that report steps share: one record a line into the pipe that the environment names."""

import json
import os


def report(
    action: str, about: int | None = None, result: str | None = None, who: str = "parent", **fields: object
) -> None:
    """Write one step record; fields that are None are left out."""
    record = {"type": "step", "who": who, "action": action, "about": about, "result": result, "pid": os.getpid()}
    write(json.dumps({name: value for name, value in (record | fields).items() if value is not None}))


def identify(**fields: object) -> None:
    """Write an identity record: what a made-up driver uses, unless a field says otherwise."""
    usual = {
        "type": "identity",
        "pid": os.getpid(),
        "module": "made_up",
        "distribution": "made-up",
        "version": "1.0",
        "implementation": "python",
        "library": None,
        "server": "1.0",
        "stack": "bare",
    }
    write(json.dumps(usual | fields))


def write(line: str) -> None:
    """Write one line into the pipe, if there is one."""
    if "STEP_RECORDS" in os.environ:
        pipe = os.open(os.environ["STEP_RECORDS"], os.O_WRONLY)
        os.write(pipe, line.encode() + b"\n")
        os.close(pipe)
