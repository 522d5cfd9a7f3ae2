"""The command line, as a user meets it: what is typed wrong gets one line, and nothing is left behind."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import pytest

from matrix.catalogue import STACKS, cells, drivers
from matrix.records import results
from matrix.records.observation import Observation
from matrix.records.reading import ROOT

CELL = "bare/closed_in_child/psycopg/postgresql/tcp"
OTHER = "django/shared_at_once/psycopg/postgresql/tls"
#: Every cell of its example, in any stack.
CLOSED = [cell for cell in cells() if cell.example == "closed_in_child"]


def matrix(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m matrix` and return how it went."""
    return subprocess.run(
        [sys.executable, "-m", "matrix", *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Assert that a command refused in one line that holds some words, with exit status 2."""
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository that a test may spoil."""
    for name in ("matrix", "example_support", *STACKS.values()):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--driver", "psycopgg"], ["there is no driver 'psycopgg'", ", ".join(drivers())]),
        (["--only", "bare/closed_in_chld"], ["matches no cell", "did you mean closed_in_child?"]),
        (["--only", "*/*/*/mysql"], ["no server is called 'mysql'".capitalize(), "mariadb"]),
        (["--repeat", "1000000000"], ["--repeat", "is not a whole number from 1 to 1000000"]),
        (["--repeat", "0"], ["--repeat", "'0' is not a whole number"]),
        (["--jobs", "two"], ["--jobs", "'two' is not a whole number"]),
        (["--deadline", "-1"], ["--deadline", "seconds from 0.05 to 3600"]),
        (["--onyl", "x"], ["unrecognized arguments: --onyl", "--help"]),
        (["--output", "/proc/nowhere", "--only", CELL], ["/proc/nowhere", "cannot be written", "--output DIR"]),
        (["--show", "bare/closed_in_child"], [f"names {sum(cell.stack == 'bare' for cell in CLOSED)} cells"]),
    ],
)
def test_what_is_typed_wrong_is_one_line(arguments: list[str], words: list[str]) -> None:
    one_line(matrix("run", *arguments), *words)


def test_an_unknown_command_is_one_line() -> None:
    one_line(matrix("runn"), "runn")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", ["MATRIX_POSTGRESQL_URL"]),
        ("postgresql://unknown:wrong@127.0.0.1:1/", ["MATRIX_POSTGRESQL_URL", "127.0.0.1"]),
        ("mysql://root@127.0.0.1/", ["MATRIX_POSTGRESQL_URL"]),
    ],
)
def test_a_wrong_url_is_one_line(url: str, words: list[str], tmp_path: Path) -> None:
    done = matrix("run", "--only", CELL, "--output", str(tmp_path / "out"), MATRIX_POSTGRESQL_URL=url)
    one_line(done, *words)
    assert not list(tmp_path.rglob("*.json"))


def test_results_of_another_version_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "psycopg.json").write_text('{"format": 99}')
    one_line(matrix("run", "--only", CELL, "--output", str(tmp_path)), "format 99", "psycopg.json")
    assert (tmp_path / "psycopg.json").read_text() == '{"format": 99}'


def test_a_malformed_claim_is_one_line_before_anything_runs(checkout: Path) -> None:
    path = checkout / "drivers/psycopg/expected.toml"
    path.write_text('"bare/closed_in_child/postgresql" = {outcome = "fine", reason = "x"}\n')
    one_line(matrix("run", "--only", CELL, cwd=checkout), "drivers/psycopg/expected.toml, line 1")
    path.write_text('"bare/closed_in_child/postgresql" = {outcome = "works", reason = "no-such-reason"}\n')
    one_line(matrix("run", "--only", CELL, cwd=checkout), "line 1", "unknown reason 'no-such-reason'")


def test_paths_of_sockets_are_counted_in_bytes(tmp_path: Path) -> None:
    """The folder of temporary files has 38 characters, and with 98 bytes is too long for a socket."""
    folder = Path("/tmp") / (f"{os.getpid() % 1000:03}" + "\N{SNOWMAN}" * 30)
    assert (len(str(folder)), len(os.fsencode(folder))) == (38, 98)
    folder.mkdir()
    try:
        cell = "bare/untouched_in_child/psycopg/postgresql/unix"
        done = matrix("run", "--only", cell, "--output", str(tmp_path), TMPDIR=str(folder))
    finally:
        folder.rmdir()
    assert done.returncode == 0, done.stdout + done.stderr
    assert results.read(tmp_path / "psycopg.json")[cell].outcome == "works"


def test_a_terminal_without_the_signs_of_tables_shows_the_words(tmp_path: Path) -> None:
    done = matrix("run", "--only", CELL, "--output", str(tmp_path), PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "? parent error" in done.stdout
    shown = matrix("show", CELL, "--results", str(tmp_path), "--format", "json", PYTHONIOENCODING="ascii")
    assert msgspec.convert(json.loads(shown.stdout)["cell"], Observation).outcome == "parent error"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_machine_that_allows_no_more_threads_or_memory_is_one_line(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -v 400000; exec "$@"', "sh", sys.executable, "-m", "matrix", "run"]
    limited += ["--driver", "psycopg", "--only", "bare/*/*/*/tcp", "--jobs", "60", "--output", str(tmp_path)]
    one_line(subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False), "--jobs 1")


def test_the_list_needs_no_server_and_no_driver() -> None:
    done = matrix("run", "--list", "--only", "*/closed_in_child", PATH="/nonexistent")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [cell.id for cell in CLOSED]


def test_a_cell_that_is_not_as_claimed_fails_with_its_transcript(checkout: Path) -> None:
    path = checkout / "drivers/psycopg/expected.toml"
    reason = next(iter(_reasons(checkout)))
    path.write_text(f'"bare/closed_in_child/postgresql" = {{outcome = "works", reason = "{reason}"}}\n')
    done = matrix("run", "--only", CELL, "--output", str(checkout / "out"), cwd=checkout)
    assert done.returncode == 1, done.stderr
    assert f"NOT AS EXPECTED {CELL}: seen parent error 1x; expected works" in done.stdout
    assert "child 1  close: done" in done.stdout
    observed = results.read(checkout / "out" / "psycopg.json")[CELL]
    assert observed.outcome == "parent error"
    shown = matrix("show", CELL, "--results", str(checkout / "out"), cwd=checkout)
    assert "Terminate" in shown.stdout
    # An address is not broken into lines.
    assert max(len(line) for line in shown.stdout.splitlines() if "://" not in line) <= 100
    as_json = json.loads(
        matrix("show", CELL, "--results", str(checkout / "out"), "--format", "json", cwd=checkout).stdout
    )
    assert msgspec.convert(as_json["cell"], Observation) == observed
    before = path.read_text()
    updated = matrix("run", "--only", CELL, "--output", str(checkout / "out"), "--update", cwd=checkout)
    assert "drivers/psycopg/expected.toml" in updated.stdout
    added = '"bare/closed_in_child/postgresql/tcp" = {outcome = "parent error", reason = "to-be-reviewed"}\n'
    assert path.read_text() == before + added
    one_line(matrix("run", "--only", CELL, cwd=checkout), "to-be-reviewed")


def test_an_example_that_fails_by_itself_is_not_judged(checkout: Path) -> None:
    (checkout / "drivers/closed_in_child.py").write_text(
        '"""Broken.\n\nHazard. Yes.\n"""\nraise RuntimeError("spoilt")\n'
    )
    done = matrix("run", "--only", CELL, "--output", str(checkout / "out"), cwd=checkout)
    assert done.returncode == 2
    assert f"NOT JUDGED {CELL}: reported no steps: RuntimeError: spoilt" in done.stdout
    assert results.read(checkout / "out" / "psycopg.json") == {}


def _reasons(checkout: Path) -> dict[str, object]:
    return tomllib.loads((checkout / "matrix/reasons.toml").read_text())


def _mine(token: str) -> dict[str, str | None]:
    """Return the processes that bear a token of the test's own or its run's: command line to the run's own token.

    Servers have no environment of their own but for the latter.
    """
    found: dict[str, str | None] = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environ = (path / "environ").read_bytes()
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        names = dict(entry.partition("=")[::2] for entry in environ.decode(errors="replace").split("\0"))
        if command and token in (names.get("TEST_TOKEN"), names.get("MATRIX_RUN")):
            line = command.decode(errors="replace").replace("\0", " ")
            found[f"{path.name} {line}"] = names.get("MATRIX_RUN")
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("fresh", [False, True], ids=["preloaded", "fresh"])
def test_nothing_is_left_of_a_run_that_is_ended(number: signal.Signals, fresh: bool, tmp_path: Path) -> None:
    token = os.urandom(8).hex()
    command = [sys.executable, "-m", "matrix", "run", "--driver", "psycopg", "--repeat", "200"]
    command += ["--only", "bare/closed_in_child", "--output", str(tmp_path / "out"), *(["--fresh"] if fresh else [])]
    environ = {**os.environ, "TEST_TOKEN": token}

    def programs(lines: dict[str, str | None]) -> int:
        """Return how many examples are running: a copy of a preloaded interpreter is called what that is called."""
        named = [line for line in lines if ("-m drivers.closed_in_child" if fresh else "preloaded.py") in line]
        return len(named) if fresh else len(named) - 1

    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        until = time.monotonic() + 60
        while time.monotonic() < until and programs(lines := _mine(token)) < 1:
            time.sleep(0.02)
        (own,) = {run_token for run_token in lines.values() if run_token}
        servers, folders = _mine(own), _folders(own)
        run.send_signal(number)
        run.wait(20)
    assert any("postgres" in line for line in servers)
    assert folders
    until = time.monotonic() + 10
    while time.monotonic() < until and (_mine(token) or _mine(own) or _folders(own)):
        time.sleep(0.05)
    assert (_mine(token), _mine(own), _folders(own)) == ({}, {}, [])
    assert not (tmp_path / "out" / "psycopg.json").exists()


def _folders(token: str) -> list[Path]:
    return [path for folder in ("/tmp", "/dev/shm") for path in Path(folder).glob(f"fc-{token}*")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], ["there is no 'runn'; did you mean run?"]),
        (["run", "--onyl", "x"], ["did you mean --only?"]),
        (["run", "--server", "postgresq"], ["did you mean postgresql?"]),
        (["run", "--python", "psycopgg=/bin/true"], ["did you mean psycopg?"]),
        (["show", "--format", "jsn", CELL], ["there is no 'jsn'; did you mean json?"]),
        (["show", "bare/closed_in_chld/psycopg/postgresql/tcp"], ["did you mean closed_in_child?"]),
        (["advise", "--driver", "psycop"], ["did you mean psycopg?"]),
        (["advise", "--driver", "psycopg", "--orm", "djang"], ["did you mean django?"]),
        (["advise", "--driver", "psycopg", "--launcher", "guincorn"], ["did you mean gunicorn?"]),
        (["launchers", "--launcher", "celer"], ["did you mean celery?"]),
        (["completion", "bsh"], ["did you mean bash?"]),
    ],
)
def test_what_is_mistyped_names_what_is_nearest(arguments: list[str], words: list[str]) -> None:
    one_line(matrix(*arguments), *words)


@pytest.mark.parametrize("columns", [60, 110])
@pytest.mark.parametrize(
    "arguments", [["table"], ["show", CELL], ["show", "django/shared_at_once/psycopg/postgresql/tls"]]
)
def test_what_is_printed_fits_the_terminal_and_breaks_no_word(arguments: list[str], columns: int) -> None:
    narrow = matrix(*arguments, COLUMNS=str(columns))
    wide = matrix(*arguments, COLUMNS="1000")
    assert narrow.returncode == 0, narrow.stderr
    lines = narrow.stdout.splitlines()
    assert [line for line in lines if len(line) > columns and "https://" not in line] == []
    words = {
        *re.findall(r"\w{4,}", wide.stdout),
        "what",
    }  # the heading of what is beside each other where there is room
    assert set(re.findall(r"\w{4,}", narrow.stdout)) <= words


def test_cells_are_listed_without_an_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "matrix.catalogue", "--driver", "psycopg", "--only", "bare/*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    expected = [cell.id for cell in cells() if (cell.driver, cell.stack) == ("psycopg", "bare")]
    assert done.stdout.splitlines() == expected
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    needed = {name for name in imported & {*importlib.metadata.packages_distributions()} if not name.startswith("_")}
    assert needed <= {"msgspec", "typing_extensions"}


def test_a_mistyped_name_in_a_listing_names_what_is_nearest() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "matrix.catalogue", "--driver", "psycop"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    one_line(done, "did you mean psycopg?")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands_options_and_names(shell: str) -> None:
    done = matrix("completion", shell)
    assert done.returncode == 0, done.stderr
    for word in ("explain", "launcher", "psycopg", "gunicorn", "postgresql"):
        assert word in done.stdout
    if program := shutil.which(shell):
        assert (
            subprocess.run([program, "-n"], input=done.stdout, text=True, capture_output=True, check=False).stderr == ""
        )


def test_bash_completes_a_driver(tmp_path: Path) -> None:
    (tmp_path / "completions").write_text(matrix("completion", "bash").stdout)
    program = (
        f". {tmp_path}/completions; COMP_WORDS=(matrix run --driver psycopg); COMP_CWORD=3;"
        ' COMP_LINE="matrix run --driver psycopg"; COMP_POINT=${#COMP_LINE};'
        " $(complete -p matrix | sed 's/.*-F \\([^ ]*\\).*/\\1/') matrix psycopg --driver; echo ${COMPREPLY[@]}"
    )
    done = subprocess.run(["bash", "-c", program], text=True, capture_output=True, check=True)
    assert done.stdout.split() == [name for name in drivers() if name.startswith("psycopg")], done.stderr


def test_a_report_of_the_committed_results_needs_no_arguments(tmp_path: Path) -> None:
    done = matrix("report", "--output", str(tmp_path / "matrix.html"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "matrix.html").read_text("utf-8").count(CELL)
