"""Reports what a process really used, from the connection in use and not from the name of anything."""

import importlib.metadata
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import driver, transcript


def report_identity(connection: Any, query: Callable[[str], Any], *, stack: str) -> None:
    """Record the driver, its build and the server behind the driver's own `connection`, if records are asked for.

    `query` runs a query on it and returns its only row; `stack` is `bare`, or the ORM's name and version.
    """
    if not transcript.recording():
        return
    # `__class__` and not `type()`: a proxy claims the class of the connection that it stands for.
    module, distribution, version = installed(connection.__class__)
    transcript.record(
        "identity",
        {
            "pid": os.getpid(),
            "module": module,
            "distribution": distribution,
            "version": version,
            "implementation": driver.connection.implementation(connection),
            "library": driver.connection.library(connection),
            "server": str(query(driver.protocol.VERSION)[0]),
            "stack": stack,
        },
    )


def installed(kind: type) -> tuple[str, str, str]:
    """Return the top-level package of a class, the distribution that it was installed from, and the version of that.

    A class that no distribution installed, such as an application's subclass, counts as the first of its bases that one
    did. What nothing installed is reported as `unknown`.
    """
    for each in kind.__mro__:
        file = getattr(sys.modules.get(each.__module__), "__file__", None)
        if file and (found := _distribution(Path(file))):
            return each.__module__.partition(".")[0], *found
    module = kind.__module__.partition(".")[0]
    # No list of files, as with an editable install: less exact, and much slower.
    for name in importlib.metadata.packages_distributions().get(module, []):
        return module, name, importlib.metadata.version(name)
    return module, "unknown", "unknown"


def _distribution(file: Path) -> tuple[str, str] | None:
    """Return name and version of the distribution whose list of files has `file`."""
    folder = next((folder for folder in file.parents if str(folder) in sys.path), None)
    if folder is None:
        return None
    entry = f"\n{file.relative_to(folder).as_posix()},"
    # The driver's names first, because reading every list of files takes long.
    for name in (*driver.facts["distributions"], None):
        for distribution in importlib.metadata.distributions(name=name, path=[str(folder)]):
            if entry in f"\n{distribution.read_text('RECORD') or ''}":
                metadata = distribution.metadata
                return metadata["Name"], metadata["Version"]
    return None


def announce(connection: Any, query: Callable[[str], Any], *, stack: str) -> None:
    """Report the transport, as the step `prepare`, and the identity: what a program under a launcher does."""

    def ask() -> str:
        over: str = driver.protocol.transport(query)
        report_identity(connection, query, stack=stack)
        return over

    transcript.step("prepare", ask, result=lambda over: transcript.done(text=over))
