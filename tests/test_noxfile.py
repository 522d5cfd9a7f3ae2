"""The sessions of the noxfile, with a stand-in for the harness that says what it is asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from matrix.records.reading import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Instead of environments, this Python for every name.
ENVIRONMENT = """
import argparse, json, sys
parser = argparse.ArgumentParser()
parser.add_argument("--interpreter")
parser.add_argument("names", nargs="+")
print(json.dumps(dict.fromkeys(parser.parse_args().names, sys.executable)))
"""
#: Instead of the harness: `run` writes a word to its summary and waits for a file, `summary` prints the words.
HARNESS = """
import os, pathlib, sys, time
command, *arguments = sys.argv[1:]
if command == "summary":
    words = [pathlib.Path(path).read_text() for path in arguments]
    print("summary of", *words)
    sys.exit(2 if "unavailable" in words else 0)
word = arguments[arguments.index("--word") + 1]
pathlib.Path(arguments[arguments.index("--summary") + 1]).write_text(word)
try:
    print("run", word, os.environ["MATRIX_PARENT"], flush=True)
    if word == "ends slowly":
        time.sleep(60)
except KeyboardInterrupt:
    time.sleep(2)
    print("ended in order", flush=True)
    sys.exit(130)
while not pathlib.Path(word).exists():
    time.sleep(0.01)
sys.exit(2 if word == "unavailable" else 0)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the noxfile and the stand-in."""
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    for path, text in (("matrix/__init__.py", ""), ("matrix/provision/__init__.py", "")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "matrix/__main__.py").write_text(HARNESS)
    (tmp_path / "matrix/provision/environment.py").write_text(ENVIRONMENT)
    (tmp_path / "drivers/some").mkdir(parents=True)
    (tmp_path / "drivers/some/driver.toml").touch()
    return tmp_path


@contextlib.contextmanager
def nox(checkout: Path, word: str) -> Iterator[subprocess.Popen[str]]:
    """Start `nox -s matrix` in a group of its own, and wait until the stand-in runs."""
    with subprocess.Popen(
        [sys.executable, "-m", "nox", "-s", "matrix", "--", "--word", word],
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout
        printed: list[str] = []
        try:
            while not (line := process.stdout.readline()).startswith(f"run {word}"):
                assert line, f"nox ended, and printed {printed}"
                printed.append(line)
            assert line.split()[-1] == str(process.pid)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_two_noxes_in_one_checkout_print_each_its_own_summary(checkout: Path) -> None:
    with nox(checkout, "one") as one, nox(checkout, "two") as two:
        for word in ("two", "one"):
            (checkout / word).touch()
        said = [process.communicate(timeout=30)[0] for process in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    assert "summary of one\n" in said[0]
    assert "summary of two\n" in said[1]


def test_a_server_that_is_unavailable_ends_nox_with_2(checkout: Path) -> None:
    (checkout / "unavailable").touch()
    with nox(checkout, "unavailable") as process:
        assert "summary of unavailable\n" in process.communicate(timeout=30)[0]
    assert process.returncode == 2


def test_ctrl_c_gives_a_run_the_time_to_end_in_order(checkout: Path) -> None:
    with nox(checkout, "ends slowly") as process:
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        assert "ended in order" in process.communicate(timeout=30)[0]
        assert time.monotonic() - began > 1.9
