"""A run without the relay: nothing of the wire takes part, and the outcomes are the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from matrix.records import results
from matrix.records.observation import Observation
from matrix.records.reading import ROOT

#: A hazard, over the transport that the wire checks too.
CELLS = "bare/closed_in_child/*/*/tls"
#: Runs the matrix, and then prints which modules of the wire it has imported.
PROGRAM = """
import sys
from matrix.__main__ import main
status = main(sys.argv[1:])
print("wire:", [name for name in sys.modules if name.startswith("matrix.wire")])
sys.exit(status)
"""


def run(output: Path, *options: str) -> tuple[str, dict[str, Observation]]:
    """Run the cells, and return what the last line says of the wire, and what was observed."""
    command = [sys.executable, "-c", PROGRAM, "run", "--only", CELLS, "--output", str(output), *options]
    report = ["--report", str(output / "report.html")]
    done = subprocess.run([*command, *report], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert "not judged" not in done.stdout + done.stderr
    if done.returncode == 2:
        pytest.skip(f"the cells cannot be run here: {done.stderr.strip()}")
    return done.stdout.splitlines()[-1], results.read_folder(output)


def test_a_direct_run_imports_nothing_of_the_wire_and_gives_the_same_outcomes(tmp_path: Path) -> None:
    wire, direct = run(tmp_path / "direct", "--direct")
    assert wire == "wire: []"
    wire, through = run(tmp_path / "through")
    assert "matrix.wire.relay" in wire
    assert direct
    assert {key: seen.outcome for key, seen in direct.items()} == {key: seen.outcome for key, seen in through.items()}
    assert not any(results.read_evidence(tmp_path / "direct", key) for key in direct)
