"""Packages of one moment: wheels and pins for tests that install something without an index."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable
from pathlib import Path


def wheel_of(
    folder: Path, name: str, files: dict[str, str], *, version: str = "1.0", requires: Iterable[str] = ()
) -> Path:
    """Write a wheel with some files."""
    module = name.replace("-", "_")
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {one}\n" for one in requires)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"{info}/RECORD,,\n")
    return wheel


def pin(path: Path, name: str, archive: Path) -> None:
    """Write a file that pins one distribution to one archive."""
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    path.write_text(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n")
