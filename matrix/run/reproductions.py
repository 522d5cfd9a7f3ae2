"""Runs the reproductions: `python -m matrix.run.reproductions`, or `nox -s reproductions`.

Each script is run on a real server as it stands, where it has to exit 1, and with its control's change, where it has
to exit 0. So a run notices a defect that was fixed, and a script that could not notice that.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from matrix import catalogue
from matrix.arguments import Parser, nearest
from matrix.catalogue.reproductions import Script, reproductions
from matrix.errors import MatrixError
from matrix.process.ending import InterruptedBySignal, interruptible
from matrix.process.watchdog import Watchdog
from matrix.records.reading import ROOT
from matrix.records.reproductions import DEFECT, FIXED, Reproduced, write
from matrix.records.results import RESULTS
from matrix.run.cell import clean_environ, database_name
from matrix.run.command import add_python, pythons
from matrix.run.environment import environment, interpreter, normalised
from matrix.run.options import default_jobs
from matrix.servers import Server, observer, running, title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Seconds that a script may take.
DEADLINE = 30.0
#: What a script that was ended at the deadline exits with, as timeout(1) has it.
TIMED_OUT = 124
#: The variables that scripts read, by protocol, and the port that stands for the server's in what is kept.
_VARIABLES = {
    "mysql": ("MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DATABASE", "MYSQL_CA"),
    "postgresql": ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLROOTCERT"),
}
_PORTS = {"mysql": "3306", "postgresql": "5432"}


def main(arguments: list[str] | None = None) -> int:
    """Return 0 if each defect is there and each control is without it, 1 if not, 2 if scripts could not be run."""
    parser = Parser(prog="matrix.run.reproductions", description=main.__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="GLOB", help="only these scripts (repeatable)")
    parser.add_argument("--update", action="store_true", help="write what was printed to matrix/results/reproductions")
    add_python(parser)
    options = parser.parse_args(arguments)
    try:
        with interruptible():
            return _run(_chosen(options.only), pythons(options), update=options.update)
    except MatrixError as error:
        print(f"matrix.run.reproductions: {error}", file=sys.stderr)
        return 2
    except InterruptedBySignal as ending:
        return ending.status


def _chosen(globs: Sequence[str]) -> list[Script]:
    known = reproductions()
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in known):
            raise MatrixError(f"--only {glob}: there is no such reproduction{nearest(glob, known)}")
    return [script for name, script in known.items() if not globs or any(fnmatchcase(name, glob) for glob in globs)]


def _run(scripts: Sequence[Script], interpreters: Mapping[str, Path], *, update: bool) -> int:
    ran = reproduce(scripts, interpreters)
    status = 0
    for name, result in ran.items():
        if isinstance(result, str):
            print(f"NOT APPLICABLE {name}: {result}")
            status = 2
            continue
        words = []
        if result.status != DEFECT:
            words.append("the defect is gone" if result.status == FIXED else f"exit status {result.status}")
        if result.control_status != FIXED:
            words.append(f"control: exit status {result.control_status}: {result.control_output}")
        print(f"{'NOT AS EXPECTED' if words else 'still there'} {name}: {'; '.join([*words, result.output])}")
        status = max(status, 1 if words else 0)
        if update and not words:
            write(RESULTS, name, result)
    return status


def reproduce(scripts: Sequence[Script], interpreters: Mapping[str, Path]) -> dict[str, Reproduced | str]:
    """Run scripts, each with its control, side by side; return what came of each, or why one could not be run."""
    known = catalogue.drivers()
    names = {script.name: known[script.facts.driver].facts.servers[0] for script in scripts}
    with Watchdog() as watchdog, running(dict.fromkeys(names.values()), watchdog=watchdog) as servers:
        environ = clean_environ(watchdog.environ())

        def both(number: int, script: Script) -> Reproduced | str:
            server = servers[names[script.name]]
            if not isinstance(server, Server):
                return server.reason
            driver, python = known[script.facts.driver], interpreters.get(script.facts.driver)
            installed = environment(python or interpreter(script.facts.driver))
            database = database_name(watchdog.token, number)
            own = {**environ, **installed.environ(driver), **_address(server, database)}
            with contextlib.closing(observer(server)) as observing:
                observing.create_database(database)
                try:
                    status, output = _execute(script.code, installed.interpreter, own)
                    control_status, control_output = _execute(script.control, installed.interpreter, own)
                finally:
                    observing.drop_database(database)
            return Reproduced(
                status=status,
                output=_kept(output, server),
                control_status=control_status,
                control_output=_kept(control_output, server),
                versions={
                    "Python": installed.python.rpartition(".")[0],
                    title(server.product): server.version,
                    **{name: installed.installed[normalised(name)] for name in script.facts.versions},
                },
            )

        with concurrent.futures.ThreadPoolExecutor(default_jobs()) as pool:
            results = pool.map(both, range(len(scripts)), scripts)
            return {script.name: result for script, result in zip(scripts, results, strict=True)}


def _address(server: Server, database: str) -> dict[str, str]:
    """Return the variables by which scripts find a server."""
    values = (server.host, str(server.port), server.user, server.password, database, str(server.ca or ""))
    return {name: value for name, value in zip(_VARIABLES[server.protocol], values, strict=True) if value}


def _execute(code: str, python: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    """Run a script; return its exit status and what it printed, on both streams."""
    with subprocess.Popen(
        [python, "-"],
        cwd=ROOT / "reproductions",
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output = process.communicate(code, timeout=DEADLINE)[0]
        except subprocess.TimeoutExpired:
            return TIMED_OUT, f"no end after {DEADLINE:.0f} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return abs(process.returncode), output.strip()


def _kept(output: str, server: Server) -> str:
    """Return a script's output without what differs from run to run."""
    return output.replace(str(server.port), _PORTS[server.protocol])


if __name__ == "__main__":
    raise SystemExit(main())
