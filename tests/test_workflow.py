"""The CI workflow: it parses, asks for little, and its commands do here what they are to do there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from matrix import catalogue
from matrix.catalogue.launchers import launchers
from matrix.records.reading import ROOT
from matrix.servers import products
from tests.reports import few, write_results

yaml = pytest.importorskip("yaml", reason="PyYAML reads the workflow; pip install pyyaml")

TEXT = (ROOT / ".github" / "workflows" / "matrix.yml").read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
STEPS: list[dict[str, Any]] = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
COMMANDS: list[str] = [step["run"] for step in STEPS if "run" in step]
ALL = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def command(part: str) -> str:
    return next(text for text in COMMANDS if part in text)


def test_it_runs_when_something_changes_and_every_week() -> None:
    on = WORKFLOW[True]  # YAML 1.1 reads the key `on` as true
    assert set(on) == {"push", "pull_request", "workflow_dispatch", "schedule"}
    assert re.fullmatch(r"\d+ \d+ \* \* \d", on["schedule"][0]["cron"])


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_workflow_may_only_read_but_for_the_jobs_that_publish_the_site_or_write_an_issue(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: set(job["permissions"]) for name, job in workflow["jobs"].items() if "permissions" in job}
    publishing = {name for name, job in workflow["jobs"].items() if "environment" in job}
    reporting = {
        name
        for name, job in workflow["jobs"].items()
        if any("gh issue" in step.get("run", "") for step in job["steps"])
    }
    granted = {name: {"pages", "id-token"} for name in publishing} | {name: {"issues"} for name in reporting}
    assert more == granted
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit_with_its_version_and_jobs_end(path: Path) -> None:
    text = path.read_text("utf-8")
    jobs = yaml.safe_load(text)["jobs"].values()
    uses = [line for line in text.splitlines() if "uses:" in line]
    assert len(uses) == len([step for job in jobs for step in job["steps"] if "uses" in step])
    assert [line for line in uses if not re.search(r"uses: actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)] == []
    assert all(0 < job["timeout-minutes"] <= 30 for job in jobs)


def test_nothing_from_outside_is_pasted_into_a_command() -> None:
    assert [text for text in COMMANDS if "${{" in text] == []


@pytest.mark.parametrize("text", COMMANDS)
def test_a_command_is_one_for_the_shell(text: str) -> None:
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False, capture_output=True).stderr == ""


def servers_beside_the_default_ones() -> list[str]:
    return [
        name
        for name, known in products.known().items()
        if known.series != (known.product.facts.default if known.product.facts.optional else None)
    ]


def test_the_listing_names_every_driver_launcher_and_server(tmp_path: Path) -> None:
    output = tmp_path / "output"
    env = os.environ | {"GITHUB_OUTPUT": str(output), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    listing = ["bash", "-ec", command("--list --json")]
    subprocess.run(listing, cwd=ROOT, env=env | WORKFLOW["env"], check=True, timeout=120)
    lines = dict(line.split("=", maxsplit=1) for line in output.read_text("utf-8").splitlines())
    assert lines.keys() == WORKFLOW["jobs"]["list"]["outputs"].keys()
    for key, session, parameter, names in (
        ("sessions", "matrix", "driver", catalogue.drivers()),
        ("launchers", "launchers", "launcher", launchers()),
        ("servers", "servers", "server", servers_beside_the_default_ones()),
    ):
        listed = json.loads(lines[key])
        assert [one["call_spec"][parameter] for one in listed] == sorted(names)
        assert [one["session"] for one in listed] == [f"{session}({name})" for name in sorted(names)]


def test_the_merge_makes_one_report_of_what_the_jobs_left(tmp_path: Path) -> None:
    observations = few().observations
    for driver in {seen.cell.driver for seen in observations.values()}:
        mine = {key: seen for key, seen in observations.items() if seen.cell.driver == driver}
        write_results(tmp_path / "results" / driver, mine, {})
        (tmp_path / "results" / f"{driver}.xml").write_text("")
    merge = command("nox -s report")
    here = f"PYTHONPATH='{ROOT}' '{sys.executable}' -m matrix report"
    subprocess.run(["bash", "-ec", merge.replace("nox -s report --", here)], cwd=tmp_path, check=True, timeout=120)
    show = command("GITHUB_STEP_SUMMARY")
    env = os.environ | {"GITHUB_STEP_SUMMARY": str(tmp_path / "step")}
    subprocess.run(["bash", "-ec", show], cwd=tmp_path, env=env, check=True, timeout=120)
    assert f"{len(observations)} cells" in (tmp_path / "step").read_text("utf-8")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["matrix.html", "matrix.xml", "summary.md"]
