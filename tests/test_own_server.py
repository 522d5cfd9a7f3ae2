"""A server of the user's own: nothing is written or dropped there but what the run made, and nothing stays."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg
import pymysql
import pytest

from matrix import servers
from matrix.process.ending import PARENT
from matrix.records.reading import ROOT
from matrix.servers import Observer, Server, __main__
from matrix.servers.own import DATABASE

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The driver that each product is tried with, and what the harness itself uses there: they are different programs.
DRIVERS = {"mariadb": "pymysql", "postgresql": "psycopg"}
#: Databases that are not the run's, though some look like it.
FOREIGN = ("orders", "matrix_orders", "matrix_0123abcd_7")
#: Statements that change nothing but the session that runs them.
HARMLESS = re.compile(
    r"\s*(SELECT|SHOW|SET (?!GLOBAL)|BEGIN|COMMIT|ROLLBACK|DISCARD|DEALLOCATE|START TRANSACTION|$)", re.IGNORECASE
)


@dataclass
class Own:
    """A server that a run is to take for the user's own."""

    server: Server
    observer: Observer
    environ: dict[str, str]
    restarted: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def databases(self) -> set[str]:
        """The databases of runs that are there."""
        return {name for name in self.observer.databases() if DATABASE.fullmatch(name)} - {*FOREIGN}

    def command(self, *arguments: str) -> list[str]:
        """Return what runs the matrix on it."""
        return [sys.executable, "-m", "matrix", "run", "--driver", DRIVERS[self.server.product], *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the matrix on it."""
        return subprocess.run(
            self.command(*arguments), cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False
        )

    def log(self) -> str:
        """Return its log."""
        assert self.server.log
        return self.server.log.read_text(errors="replace")


@pytest.fixture(scope="module", params=sorted(DRIVERS))
def own(request: pytest.FixtureRequest) -> Iterator[Own]:
    """A private server of the test's, with databases in it, that logs every statement."""
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(servers.running([request.param], report=lambda _: None))
        server = found[request.param]
        if not isinstance(server, Server):
            pytest.skip(server.reason)
        with contextlib.closing(servers.observer(server)) as observer:
            for name in FOREIGN:
                observer.create_database(name)
            if server.product == "postgresql":
                with log_in(server) as connection:
                    connection.execute("ALTER SYSTEM SET log_statement = 'all'")
                    connection.execute("SELECT pg_reload_conf()")
            variable = f"MATRIX_{server.product.upper()}_URL"
            own = Own(server, observer, {**os.environ, variable: __main__.urls(server, "")["tls"]})
            yield own
        stack.close()
        for process in own.restarted:
            process.wait(20)


def log_in(server: Server) -> Any:
    """Connect as a user's program would."""
    account: dict[str, Any] = {"user": server.user, "password": server.password, "port": server.port}
    if server.protocol == "mysql":
        return pymysql.connect(**account, host=server.host, ssl={"ca": server.ca}, autocommit=True)
    return psycopg.connect(**account, host=server.host, dbname="postgres", autocommit=True)


def eventually(true: Any, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# What the server's own log says.


def statements(own: Own, log: str) -> Iterator[tuple[str, str]]:
    """Yield every statement that clients sent, each with the database that its session is in."""
    if own.server.product == "postgresql":
        line = r"^\S+ \S+ UTC \[\d+\] db=([^,]*),user=[^,]*,app=.*?LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)"
        for match in re.finditer(line, log, re.MULTILINE):
            yield match[1], match[2]
        return
    databases: dict[str, str] = {}
    for match in re.finditer(
        r"^(?:\S+ *\S+)?\s+(\d+) (Connect|Init DB|Query|Execute|Prepare)\t(.*)", log, re.MULTILINE
    ):
        session, kind, text = match.groups()
        if kind == "Connect":
            entered = re.search(r" on (\S*) using", text)
            databases[session] = entered[1] if entered else ""
        elif kind == "Init DB":
            databases[session] = text
        elif killed := re.fullmatch(r"KILL HARD CONNECTION (\d+)", text):
            yield databases.get(killed[1], ""), text
        else:
            yield databases.get(session, ""), text


def test_a_run_writes_to_nothing_but_databases_that_it_made(own: Own, tmp_path: Path) -> None:
    began = len(own.log())
    examples = ("committed_in_child", "shared_at_once", "killed_in_child", "crashed_child", "untouched_in_child")
    only = [argument for name in examples for argument in ("--only", f"bare/{name}/*/*/tcp")]
    done = own.run(*only, "--output", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    sent = list(statements(own, own.log()[began:]))
    writing = [(database, text) for database, text in sent if not HARMLESS.match(text)]
    made = {match[1] for _, text in writing if (match := re.match(r"CREATE DATABASE [\"`](\w+)[\"`]", text))}
    assert len(made) >= len(examples)
    assert all(DATABASE.fullmatch(name) for name in made)
    assert len({DATABASE.fullmatch(name)[1] for name in made}) == 1  # type: ignore[index]  # the line above
    named = re.compile(r"(?:CREATE|DROP) DATABASE (?:IF EXISTS )?[\"`](\w+)[\"`]")
    outside = [
        (database, text)
        for database, text in writing
        if ((match := named.match(text)) and match[1] not in made) or (not match and database not in made)
    ]
    assert outside == []
    assert any("INSERT" in text for _, text in writing)  # what the examples do is in the log
    assert set(own.observer.databases()) >= {*FOREIGN}
    assert own.databases == set()


def test_another_users_sessions_and_locks_are_left_alone(own: Own, tmp_path: Path) -> None:
    with contextlib.closing(log_in(own.server)) as connection:
        cursor = connection.cursor()
        assert own.run("--only", "bare/killed_in_child/*/*/tcp", "--output", str(tmp_path)).returncode == 0
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


# However a run ends.


@contextlib.contextmanager
def begun(own: Own, output: Path, *, parent: bool = False, repeat: int = 500) -> Iterator[subprocess.Popen[str]]:
    """Start a run that takes long, and wait until it has databases; with `parent`, as a child of the process."""
    command = own.command("--only", "bare/closed_in_child", "--repeat", str(repeat), "--output", str(output))
    environ = own.environ
    if parent:
        command = ["sh", "-c", f'{PARENT}=$$ "$@" & wait', "sh", *command]
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            # Of the run's first cells, not of what it tries out before.
            assert eventually(lambda: any(not name.endswith("_0") for name in own.databases), 60)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_a_signal_ends_drops_its_databases_and_says_so_in_one_line(
    own: Own, number: signal.Signals, tmp_path: Path
) -> None:
    with begun(own, tmp_path) as run:
        run.send_signal(number)
        time.sleep(0.3)
        run.send_signal(signal.SIGTERM)  # as nox does
        _, errors = run.communicate(timeout=30)
    assert run.returncode == 128 + number
    assert [line for line in errors.splitlines() if not re.search(r"^\d+/\d+ runs|--clean", line)] == [
        "matrix: interrupted; servers and programs are stopped, no results were written"
    ]
    assert own.databases == set()


def test_a_run_ends_with_its_parent_and_drops_its_databases(own: Own, tmp_path: Path) -> None:
    with begun(own, tmp_path, parent=True) as parent:
        parent.kill()
        parent.wait()
        assert eventually(lambda: not own.databases)
        _, errors = parent.communicate(timeout=30)
    assert "matrix: interrupted" in errors


def test_what_a_killed_run_leaves_is_named_at_the_next_start_and_dropped_on_request(own: Own, tmp_path: Path) -> None:
    with begun(own, tmp_path) as run:
        run.kill()
    # What runs in them ends without it, and what the server was told to do, it does.
    left = own.databases
    time.sleep(1)
    while (later := own.databases) != left:
        time.sleep(1)
        left = later
    assert left
    done = own.run("--only", "bare/closed_in_child/*/*/tcp", "--output", str(tmp_path))
    (line,) = [line for line in done.stderr.splitlines() if "--clean" in line]
    assert all(name in line for name in left)
    assert own.databases == left
    clean = [sys.executable, "-m", "matrix.servers", "--clean"]
    subprocess.run(clean, cwd=ROOT, env=own.environ, check=True, capture_output=True)
    assert own.databases == set()
    assert set(own.observer.databases()) >= {"orders", "matrix_orders"}
    own.observer.create_database("matrix_0123abcd_7")  # it was a run's, by its name, and went with the others


# What becomes of the server.


def restart(own: Own) -> None:
    """End a server without warning, and start it on the same data again."""
    server = own.server
    assert server.log
    log, (process,) = (
        server.log,
        [one for one in psutil.Process().children() if str(server.log.parent) in _command(one)],
    )
    command, environ, cwd = process.cmdline(), process.environ(), process.cwd()
    owner: dict[str, Any] = {"user": process.uids().real, "group": process.gids().real, "extra_groups": []}
    process.send_signal(signal.SIGQUIT if server.product == "postgresql" else signal.SIGKILL)
    process.wait(30)
    with log.open("ab") as file:
        options: dict[str, Any] = {"env": environ, "cwd": cwd, "stdout": file, "stderr": file}
        own.restarted.append(subprocess.Popen(command, **options, **owner if os.geteuid() == 0 else {}))


def _command(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def test_cells_that_run_while_the_server_restarts_are_not_judged(own: Own, tmp_path: Path) -> None:
    with begun(own, tmp_path, repeat=30) as run:
        restart(own)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 2, errors
    why = [line for line in errors.splitlines() if line.startswith("not judged: ")]
    # Those that began while it was down could not connect.
    assert any("restarted" in line or "does not answer" in line for line in why), errors
    assert own.databases == set()


# What the account may not do.


@pytest.mark.parametrize("missing", ["create databases", "look at the server"])
def test_an_account_without_rights_is_one_line_before_anything_runs(own: Own, missing: str, tmp_path: Path) -> None:
    with contextlib.closing(log_in(own.server)) as connection:
        cursor = connection.cursor()
        if own.server.protocol == "mysql":
            cursor.execute("CREATE USER weak IDENTIFIED BY 'weak'")
            if missing == "create databases":
                cursor.execute("GRANT SELECT ON performance_schema.* TO weak")
            else:
                cursor.execute("GRANT CREATE, DROP ON *.* TO weak")
        elif missing == "create databases":
            cursor.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
        else:
            pytest.skip("PostgreSQL shows every role what the harness looks at")
        weak = Server(**{**vars(own.server), "user": "weak", "password": "weak"})
        variable = f"MATRIX_{own.server.product.upper()}_URL"
        try:
            environ = {**own.environ, variable: __main__.urls(weak, "")["tls"]}
            done = Own(weak, own.observer, environ).run("--only", "bare/*", "--output", str(tmp_path))
        finally:
            cursor.execute("DROP USER weak" if own.server.protocol == "mysql" else "DROP ROLE weak")
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert re.search(r"refuses what the harness needs as weak: .*denied", line)


# Credentials.


def test_no_password_is_in_a_file_a_report_the_output_or_a_process_list(own: Own, tmp_path: Path) -> None:
    commands: set[bytes] = set()
    reports = ["--report", str(tmp_path / "r.html"), "--junit", str(tmp_path / "r.xml")]
    command = own.command("--only", "*/closed_in_child", "--output", str(tmp_path / "out"), *reports)
    command += ["--markdown", str(tmp_path / "r.md"), "--summary", str(tmp_path / "r.json")]
    with subprocess.Popen(
        command, cwd=ROOT, env=own.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        reading = []
        while process.poll() is None:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    commands.add(path.read_bytes())
            time.sleep(0.01)
        assert process.stdout
        reading.append(process.stdout.read())
    assert process.returncode == 0, reading
    assert any(b"matrix\0run" in command for command in commands)
    found = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(found) >= 5
    secret = own.server.password.encode()
    found |= {"output": b"".join(reading), "commands": b"\n".join(commands)}
    found |= {"log": own.log().encode()} if own.server.product == "postgresql" else {}
    assert [name for name, content in found.items() if secret in content] == []
