"""Drift: what is said of newer versions, and which of it is a change."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix.__main__ import main
from matrix.provision import pins
from matrix.records import results
from matrix.records.claim import Claim
from matrix.records.reading import ROOT
from matrix.run import drift_command
from tests.test_results import observation

yaml = pytest.importorskip("yaml", reason="PyYAML reads the workflow; pip install pyyaml")
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "drift.yml").read_text("utf-8"))


def test_the_newest_versions_are_within_the_ranges_or_of_all() -> None:
    found = pins.newest()
    for driver, own in pins.environments().items():
        if own.source.name == "driver.toml":
            assert found[f"{driver}@newest"].requires == own.requires
            assert not any(sign in text for text in found[f"{driver}@beyond"].requires for sign in "=<>~")
            assert found[f"{driver}@beyond"].path.is_relative_to(ROOT / ".nox")


@pytest.mark.parametrize(
    ("claim", "expected"), [(None, False), (Claim(("hang", "works"), "x"), True), (Claim(("works",), "x"), False)]
)
def test_an_outcome_that_was_not_seen_before_is_a_change_unless_it_is_claimed(
    claim: Claim | None, expected: bool
) -> None:
    now = observation(outcome="hang", seen={"hang": 1})
    assert drift_command._expected(now, observation(), claim) == expected
    assert drift_command._expected(observation(), observation(), claim)


def test_a_change_is_shown_with_both_transcripts_and_the_versions_that_moved() -> None:
    now = observation(outcome="hang", seen={"hang": 1}, versions={"driver": "some 2"})
    text = "\n".join(drift_command._difference(observation(), now))
    assert f"## {now.id}" in text
    assert "child error → hang; driver some 1 → some 2" in text
    assert text.count("look up 1: order 1, session A") == 2


def test_drivers_of_which_no_version_moved_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_command, "_moved", lambda driver, python: {})
    monkeypatch.setattr(drift_command, "run", lambda options: pytest.fail("it ran"))
    driver = next(path.stem for path in results.RESULTS.glob("*.json") if path.stem in pins.environments())
    options = ["drift", "--range", "newest", "--python", f"{driver}=python", "--output", str(tmp_path)]
    assert main(options) == 0
    assert f"* {driver}: no version moved" in (tmp_path / "newest.md").read_text()


def test_the_workflow_may_write_an_issue_and_nothing_else() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    granted = [job["permissions"] for job in WORKFLOW["jobs"].values() if "permissions" in job]
    assert granted == [{"issues": "write"}]
    ranges = WORKFLOW["jobs"]["run"]["strategy"]["matrix"]["range"]
    assert ranges == list(drift_command.RANGES)
