"""What remedies cost: the arithmetic and the record on made-up numbers, the programs for real on one driver.

No test says how long something takes, or how large a ratio is.
"""

from __future__ import annotations

import dataclasses
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from msgspec.structs import replace

from matrix import catalogue
from matrix.costs import measure, plan, samples
from matrix.costs.__main__ import main
from matrix.errors import MatrixError
from matrix.pages import costs as figures
from matrix.pages.facts import load
from matrix.records import costs, results
from matrix.records.costs import Cost, Costs, Machine, Place, Ratio, ratio
from matrix.records.reading import ROOT
from matrix.records.wire import Connection, Event
from matrix.run.environment import environment, interpreter
from matrix.servers import default_names, product_of, title

if TYPE_CHECKING:
    from pathlib import Path

CONNECT = Place("connect", "bare", "a_driver", "a_server", "tcp")
MACHINE = Machine(cpu="a processor", cores=2, system="a system", busy=0.1, versions={"a_server": "1", "a_driver": "2"})
#: A driver that is installed here, of those that costs are measured with.
INSTALLED = next(
    (
        name
        for name in dict.fromkeys(place.driver for place in plan.places())
        if environment(interpreter(name)).has(catalogue.drivers()[name])
    ),
    None,
)


def cost(place: Place = CONNECT, what: str = "connect", median: float = 20.0) -> Cost:
    return Cost(
        place=place.id, what=what, title=what, base="query", ratio=Ratio(median, median / 2, median * 1.4), rounds=9
    )


# The arithmetic.


def test_a_ratio_is_the_median_over_rounds_with_quartiles() -> None:
    assert ratio([2.0, 30.0, 4.0, 5.0, 6.0], [1.0, 10.0, 1.0, 1.0, 1.0]) == Ratio(4.0, 3.0, 5.0)


def test_noise_that_hits_a_whole_round_changes_no_ratio() -> None:
    chance = random.Random(1)
    measured, base = [chance.uniform(5, 9) for _ in range(25)], [chance.uniform(1, 2) for _ in range(25)]
    factors = [chance.uniform(1, 50) for _ in range(25)]
    noisy = [[value * factor for value, factor in zip(values, factors, strict=True)] for values in (measured, base)]
    assert ratio(*noisy) == ratio(measured, base)


@pytest.mark.parametrize(
    ("measured", "base"), [([1.0, 2.0], [1.0]), ([1.0], [1.0]), ([0.0, 1.0], [1.0, 1.0]), ([1.0, 1.0], [1.0, -1.0])]
)
def test_what_makes_no_ratio_is_refused(measured: list[float], base: list[float]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what it says is of no matter here
        ratio(measured, base)


def test_each_thing_is_compared_with_what_its_program_says() -> None:
    output = json.dumps(
        {
            "samples": {"query": [1, 1, 1], "fork": [10, 10, 10], "spawn": [50, 60, 70]},
            "compared": {
                "fork": {"base": "query", "query": "query", "title": "`fork`"},
                "spawn": {"base": "fork", "query": "query", "title": "`spawn`"},
            },
        }
    )
    fork, spawn = samples.costs(CONNECT, samples.read_samples(f"12:00 parent 1 prepare\n{output}\n"))
    assert (fork.ratio.median, fork.queries) == (10, None)
    assert (spawn.base, spawn.ratio) == ("fork", Ratio(6, 5.5, 6.5))
    assert spawn.queries == Ratio(60, 55, 65)


@pytest.mark.parametrize("output", ["", "done", "[]", '{"samples":{}}', '{"samples":{"query":["x"]},"compared":{}}'])
def test_a_program_that_prints_no_figures_is_refused(output: str) -> None:
    with pytest.raises(MatrixError, match="holds no figures"):
        samples.read_samples(output)


def test_a_program_that_compares_with_what_it_did_not_measure_is_refused() -> None:
    found = samples.Samples({"connect": [1, 2]}, {"connect": samples.Compared("query", "query", "connect")})
    with pytest.raises(MatrixError, match="'query'"):
        samples.costs(CONNECT, found)


def test_workers_that_were_not_all_looked_at_are_refused() -> None:
    one, two = {"worked": [1.0, 2.0], "collected": [1.0, 2.0]}, {"worked": [1.0, 2.0], "collected": [1.0]}
    with pytest.raises(MatrixError, match="make no ratios"):
        samples.memory(CONNECT, one, two)


def test_workers_are_compared_by_size() -> None:
    small = {"worked": [2.0, 1.0], "collected": [4.0, 2.0]}
    large = {"worked": [2.0, 4.0], "collected": [4.0, 8.0]}
    assert [each.ratio.median for each in samples.memory(CONNECT, small, large)] == [0.5, 0.5]


def connection(senders: str) -> Connection:
    """Return a connection on which client (c) and server (s) sent something in this order, and `x` ended it."""
    events = {
        "c": Event(at=0.0, sender="client", kind="message", name="a query"),
        "s": Event(at=0.0, sender="server", kind="message", name="a reply"),
        "x": Event(at=0.0, sender="client", kind="fin", name="fin"),
    }
    return Connection(opened_at=0.0, events=[events[letter] for letter in senders])


def test_round_trips_are_those_of_a_connection_without_queries_and_of_the_handshake_of_tcp() -> None:
    short, ticket, long = connection("cscsscsx"), connection("cscscscsx"), connection("cscscscscscscsx")
    (found,) = samples.round_trips(CONNECT, [long, short, ticket])
    assert found.ratio == Ratio(4, 4, 4)


def test_what_follows_the_end_of_a_connection_is_no_round_trip() -> None:
    assert samples.round_trips(CONNECT, [connection("csxs")]) == samples.round_trips(CONNECT, [connection("cs")])


# What is measured.


def test_every_driver_has_its_places_on_the_default_servers() -> None:
    found = plan.places()
    for driver in catalogue.drivers().values():
        for stack in driver.facts.stacks:
            own = {place.server for place in found if (place.driver, place.stack) == (driver.name, stack)}
            assert own in (set(), set(driver.servers))


def test_a_server_is_measured_with_the_drivers_of_its_product() -> None:
    for name in default_names():
        found = plan.places([name])
        assert {place.server for place in found} == {name}
        served = {
            name for name, driver in catalogue.drivers().items() if product_of(found[0].server) in driver.facts.servers
        }
        assert {place.driver for place in found} <= served


def test_a_driver_that_is_added_as_a_folder_is_measured(tmp_path: Path) -> None:
    for folder in catalogue.STACKS.values():
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    one = plan.places()[0].driver
    shutil.copytree(tmp_path / "drivers" / one, tmp_path / "drivers" / "another")
    facts = tmp_path / "drivers" / "another" / "driver.toml"
    schemes = catalogue.drivers()[one].facts.schemes
    text = facts.read_text()
    for scheme in schemes:
        text = text.replace(f'"{scheme}"', f'"another+{scheme}"')
    facts.write_text(text)
    found = plan.places(root=tmp_path)
    own = {replace(place, driver="another") for place in plan.places() if place.driver == one}
    assert own == {place for place in found if place.driver == "another"}


def test_the_hook_is_measured_where_its_remedy_is_run() -> None:
    for place in plan.places():
        if place.question == "fork":
            assert (place.stack, plan.AT_FORK) in catalogue.examples()


def test_a_glob_that_matches_nothing_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "conect/*"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "did you mean connect?" in line


def test_an_unknown_server_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--server", "postgresq"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "postgresq" in line


def test_what_can_be_measured_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert capsys.readouterr().out.split() == [place.id for place in plan.places()]


# The record.


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    written = costs.write(tmp_path, MACHINE, [cost()])
    assert costs.read(tmp_path) == written
    assert written.costs == [cost()]


def test_the_same_figures_make_the_same_bytes(tmp_path: Path) -> None:
    places = [replace(CONNECT, driver=name, transport=transport) for name in "cab" for transport in ("unix", "tcp")]
    for folder, order in (("one", places), ("two", places[::-1])):
        costs.write(tmp_path / folder, MACHINE, [cost(place) for place in order])
    one, two = ((tmp_path / folder / costs.NAME).read_bytes() for folder in ("one", "two"))
    assert one == two


def test_a_run_replaces_what_it_measured_and_keeps_the_rest(tmp_path: Path) -> None:
    other = replace(CONNECT, driver="another")
    costs.write(tmp_path, MACHINE, [cost(), cost(other)])
    newer = replace(MACHINE, cores=4)
    known = costs.write(tmp_path, newer, [cost(median=5.0)])
    assert {each.at.driver: (each.ratio.median, known.runs[each.run].cores) for each in known.costs} == {
        "a_driver": (5.0, 4),
        "another": (20.0, 2),
    }


def test_a_run_of_which_nothing_is_left_is_forgotten(tmp_path: Path) -> None:
    costs.write(tmp_path, MACHINE, [cost()])
    newer = replace(MACHINE, cores=4)
    assert costs.write(tmp_path, newer, [cost()]).runs == [newer]


def test_what_can_no_longer_be_measured_is_forgotten(tmp_path: Path) -> None:
    gone = replace(CONNECT, driver="gone")
    costs.write(tmp_path, MACHINE, [cost(), cost(gone)])
    known = costs.write(tmp_path, MACHINE, [cost()], current=[CONNECT.id])
    assert {each.at for each in known.costs} == {CONNECT}


def test_results_of_cells_are_read_beside_the_costs(tmp_path: Path) -> None:
    costs.write(tmp_path, MACHINE, [cost()])
    assert results.read_folder(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: file | {"format": 99}, "format 99"),
        (lambda file: file | {"surprise": 1}, "surprise"),
        (lambda file: file | {"runs": []}, "run 0"),
        (lambda file: file | {"costs": [file["costs"][0] | {"ratio": [1, 2, 3]}]}, "quartiles"),
        (lambda file: file | {"costs": [file["costs"][0] | {"ratio": [-1, -2, -1]}]}, "> 0"),
        (lambda file: file | {"costs": [file["costs"][0] | {"place": "connect/bare"}]}, "parts"),
        (lambda file: file | {"costs": [file["costs"][0] | {"place": "x/bare/a/b/tcp"}]}, "x"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name(change, words: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    costs.write(tmp_path, MACHINE, [cost()])
    path = tmp_path / costs.NAME
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(MatrixError, match=words) as refused:
        costs.read(tmp_path)
    assert costs.NAME in str(refused.value)


def test_the_committed_costs_are_of_places_that_exist() -> None:
    every = {place.id for place in plan.places()} | {
        place.id for name in catalogue.drivers() for place in plan.places(catalogue.drivers()[name].servers)
    }
    assert {each.place for each in costs.read(results.RESULTS).costs} <= every


# Pages.


def known() -> Costs:
    """Costs of a driver and server that exist, so that they have titles."""
    driver = next(iter(catalogue.drivers().values()))
    server = driver.facts.servers[0]
    place = replace(CONNECT, driver=driver.name, server=server)
    machine = replace(MACHINE, versions={server: "1.5", driver.name: "a_driver 2.5"})
    over_tls = replace(place, transport="tls")
    return Costs().updated(machine, [cost(place), cost(over_tls, median=44.0)])


def test_a_table_has_every_figure_that_is_kept() -> None:
    (name, table), *_ = figures.shown(known())
    assert "connect" in name
    (row,) = table.rows
    assert [row[table.header.index(transport)] for transport in ("tcp", "tls")] == ["20 (10 to 28)", "44 (22 to 62)"]
    assert title(known().costs[0].at.server) in row


SENTENCE = figures.RemedyCost(remedies=("a_remedy",), question="connect", what="connect", text="It takes {ratio}.")


def test_a_remedy_gets_the_figure_of_its_driver_and_transport_with_versions() -> None:
    driver = known().costs[0].at.driver
    said = figures.costs_of(known(), [SENTENCE], "a_remedy", stack="bare", driver=driver, transport="tls")
    assert said[0] == "It takes 44."
    assert "1.5" in said[1]
    assert "a_driver 2.5" in said[1]


def test_a_remedy_without_figures_gets_no_sentence() -> None:
    driver = known().costs[0].at.driver
    assert figures.costs_of(known(), [SENTENCE], "another", stack="bare", driver=driver) == []
    assert figures.costs_of(known(), [SENTENCE], "a_remedy", stack="bare", driver="no_driver") == []


def test_sentences_about_what_is_not_there_are_found() -> None:
    wrong = replace(SENTENCE, remedies=("a_remdy",), what="conect")
    assert len(figures.problems(known(), [wrong], ["a_remedy"])) == 2
    assert figures.problems(known(), [SENTENCE], ["a_remedy"]) == []


def test_a_sentence_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="rato"):
        replace(SENTENCE, text="It takes {rato}.")


def test_wide_intervals_are_reported() -> None:
    noisy = replace(cost(), ratio=Ratio(10.0, 1.0, 30.0))
    assert "noisy" not in figures.noise(Costs().updated(MACHINE, [cost()]))
    assert "1 of 1" in figures.noise(Costs().updated(MACHINE, [noisy]))


def test_the_sentences_are_about_remedies_that_exist() -> None:
    facts = load()
    assert figures.problems(facts.costs, facts.cost_sentences, facts.names("remedy")) == []


# The programs, for real.

needs_a_driver = pytest.mark.skipif(INSTALLED is None, reason="no driver is installed here")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder with what the command measured with one driver, and how the command ended."""
    folder = tmp_path_factory.mktemp("costs")
    command = ["-m", "matrix.costs", "--only", f"*/*/{INSTALLED}/*/tcp", "--rounds", "5", "--output", str(folder)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=400
    )
    return folder, done


@needs_a_driver
def test_a_run_measures_every_question_in_every_stack(
    measured: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = measured
    assert done.returncode == 0, done.stderr
    found = costs.read(folder)
    wanted = {place for place in plan.places() if (place.driver, place.transport) == (INSTALLED, "tcp")}
    assert {each.at for each in found.costs} == wanted
    for each in found.costs:
        assert 0 < each.ratio.low <= each.ratio.median <= each.ratio.high
        assert each.at.question != "start" or each.what == "fork" or each.queries is not None


@needs_a_driver
def test_all_figures_of_a_run_are_of_this_run_and_its_versions(
    measured: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    found = costs.read(measured[0])
    (run,) = found.runs
    assert set(run.versions) == {INSTALLED, *(each.at.server for each in found.costs)}
    assert {each.run for each in found.costs} == {0}


@needs_a_driver
def test_a_run_prints_a_table_for_every_question(measured: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = measured
    for name, table in figures.shown(costs.read(folder)):
        assert name.replace("`", "") in done.stdout
        for row in table.rows:
            assert row[-1].replace("`", "") in done.stdout


@needs_a_driver
@pytest.mark.parametrize(
    ("fake", "words"),
    [
        ("no_figures", "holds no figures"),
        ("failing", "out of order"),
        ("killed", "SIGKILL"),
        ("leaving", "left 1 of its processes"),
        ("hanging", "hangs"),
    ],
)
def test_a_program_that_fails_is_one_line_and_leaves_nothing(
    fake: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = f"tests.fakes.costs.{fake}"
    program = dataclasses.replace(plan.PROGRAMS_BY_QUESTION["connect"], module=module)
    monkeypatch.setitem(plan.PROGRAMS_BY_QUESTION, "connect", program)
    monkeypatch.setattr(measure, "DEADLINE", 0.5)
    assert main(["--only", f"connect/*/{INSTALLED}/*/tcp", "--output", str(tmp_path)]) == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("NOT MEASURED")]
    assert words in line
    assert not (tmp_path / costs.NAME).exists()
    assert not [each for each in psutil.process_iter(["cmdline"]) if module in (each.info["cmdline"] or [])]


@needs_a_driver
def test_a_run_that_is_ended_leaves_nothing_and_writes_nothing(tmp_path: Path) -> None:
    command = ["-m", "matrix.costs", "--only", f"connect/*/{INSTALLED}/*/tcp", "--rounds", "100000"]
    with subprocess.Popen(
        [sys.executable, *command, "--output", str(tmp_path)], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as run:
        try:
            until = time.monotonic() + 60
            own: list[psutil.Process] = []
            while time.monotonic() < until and not any(map(is_measuring, own)):
                time.sleep(0.1)
                own = psutil.Process(run.pid).children(recursive=True)
        finally:
            run.send_signal(signal.SIGTERM)
        run.wait(60)
    assert run.returncode == 128 + signal.SIGTERM
    assert own
    assert psutil.wait_procs(own, 10)[1] == []
    assert not (tmp_path / costs.NAME).exists()


def is_measuring(process: psutil.Process) -> bool:
    try:
        return "matrix.costs.programs.connect" in process.cmdline()
    except psutil.Error:  # it has ended
        return False
