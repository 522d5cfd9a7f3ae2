"""The environments that hold the drivers: `nox -s tests` names them, else every driver is expected in this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from matrix.catalogue import drivers


def pythons() -> dict[str, Path]:
    """Return the interpreter of each driver's environment."""
    named = dict(text.removeprefix("--python=").split("=", 1) for text in os.environ.get("MATRIX_PYTHONS", "").split())
    return {name: Path(named.get(name, sys.executable)) for name in drivers()}
