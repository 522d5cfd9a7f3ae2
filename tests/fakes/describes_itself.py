"""Says as JSON what it is: `__main__`, arguments, environment, process and open descriptors; ends as `ENDS` asks."""

import atexit
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path


class Deallocated:
    """Says when it is finalised."""

    def __del__(self) -> None:
        os.write(1, b"finalised\n")


def answer() -> str:
    """Return what a child answers."""
    return f"child of {__name__}"


if __name__ == "__main__":
    start = os.environ.get("START", "fork")
    with multiprocessing.get_context(start).Pool(1) as pool:
        child = pool.apply(answer)
    deallocated = Deallocated()
    atexit.register(os.write, 1, b"atexit\n")
    about = {
        "main": sys.modules["__main__"].__dict__ is globals(),
        "spec": __spec__.name,
        "file": __file__,
        "argv": sys.argv,
        "path": sys.path[0],
        "environ": dict(os.environ),
        "leads its session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "parent": os.getppid(),
        "descriptors": sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())[:-1],
        "stdin": sys.stdin.read(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM)],
        "umask": os.umask(0o22),
        "child": child,
    }
    print(json.dumps(about), flush=True)
    match os.environ.get("ENDS"):
        case "by a signal":
            os.kill(os.getpid(), signal.SIGKILL)
        case "with a status":
            sys.exit(3)
        case "with a message":
            sys.exit("no such thing")
        case "with an exception":
            raise RuntimeError("it did not work")
        case "at once":
            os._exit(4)
