"""What the kernel knows of this process's epoll instances, which a fork shares: Linux only."""

import contextlib
from pathlib import Path

#: What the name of an epoll instance's descriptor links to.
_EPOLL = "anon_inode:[eventpoll]"


def instances() -> list[int]:
    """Return the descriptors of this process that refer to an epoll instance."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very listing is closed by now
            if str(entry.readlink()) == _EPOLL:
                found.append(int(entry.name))
    return sorted(found)


def watched(descriptor: int) -> bool:
    """Whether one of this process's epoll instances watches a descriptor, as `/proc/self/fdinfo` lists it.

    The kernel lists a descriptor by the number that it had when it was added.
    """
    targets = (
        line.split()[1]
        for instance in instances()
        for line in Path(f"/proc/self/fdinfo/{instance}").read_text().splitlines()
        if line.startswith("tfd:")
    )
    return str(descriptor) in targets
