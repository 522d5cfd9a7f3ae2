"""The environment of a driver: the interpreter that runs its examples, and what is installed there."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from matrix.catalogue import Driver

#: Names the interpreters of drivers' environments, as `DRIVER=PATH`, separated as in PATH. The session of the tests
#: sets it, because its own environment holds no driver under test.
VARIABLE = "MATRIX_PYTHON"

#: Prints what there is to know, as JSON; it is run by another interpreter, where nothing of ours is installed.
_QUESTIONS = """
import importlib.metadata, json, platform, ssl, sys, sysconfig
found = {}
for distribution in importlib.metadata.distributions():
    name = distribution.metadata["Name"]
    found[name.lower().replace("_", "-").replace(".", "-")] = distribution.version
print(json.dumps({
    "python": platform.python_version(),
    "openssl": ssl.OPENSSL_VERSION.split()[1],
    "packages": sysconfig.get_path("platlib"),
    "installed": found,
}))
"""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter and what is installed for it: `installed` holds versions by normalised distribution name.

    `packages` is the folder that distributions are installed into.
    """

    python: str
    openssl: str
    packages: str
    installed: dict[str, str]
    interpreter: Path = Path()

    def has(self, driver: Driver) -> bool:
        """Whether something is installed that provides a driver."""
        return any(normalised(name) in self.installed for name in driver.facts.distributions)

    def environ(self, driver: Driver) -> dict[str, str]:
        """Return the environment variables that programs with a driver need.

        What names something among the installed packages that is not there is left out: another build has it elsewhere.
        """
        found = {name: text.replace("{packages}", self.packages) for name, text in driver.facts.environ.items()}
        return {
            name: text
            for name, text in found.items()
            if "{packages}" not in driver.facts.environ[name] or Path(text).exists()
        }

    def versions(self) -> dict[str, str]:
        """Return the versions that every cell of this environment shares."""
        kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
        return {"python": self.python, "openssl": self.openssl, "kernel": kernel}


@functools.cache
def environment(interpreter: Path) -> Environment:
    """Return what an interpreter's environment holds; raise MatrixError if it is no interpreter that runs."""
    try:
        done = subprocess.run(
            [interpreter, "-I", "-c", _QUESTIONS], capture_output=True, text=True, check=False, timeout=60
        )
        found = msgspec.json.decode(done.stdout, type=Environment)
    except (OSError, subprocess.TimeoutExpired, msgspec.DecodeError):
        raise MatrixError(f"--python {interpreter}: not a Python that runs") from None
    return msgspec.structs.replace(found, interpreter=interpreter)


def interpreter(driver: str) -> Path:
    """Return the interpreter that runs a driver's examples unless an option says otherwise: this one if none is set."""
    named = (text.partition("=") for text in os.environ.get(VARIABLE, "").split(os.pathsep))
    return next((Path(path) for name, _, path in named if name == driver), Path(sys.executable))


def normalised(distribution: str) -> str:
    """Return a distribution's name as the package index compares names."""
    return distribution.lower().replace("_", "-").replace(".", "-")
