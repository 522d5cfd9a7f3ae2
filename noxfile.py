# /// script
# dependencies = ["nox[uv]>=2025.11.12"]
# ///
"""The sessions: `nox -s matrix` runs every driver, `nox -s tests` the tests. Imports nox and nothing of ours."""

import json
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.11.12"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests", "matrix"]

ROOT = Path(__file__).parent
PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
DRIVERS = sorted(path.parent.name for path in (ROOT / "drivers").glob("*/driver.toml"))
CODE = ["drivers", "django_examples", "sqlalchemy_examples", "matrix", "tests", "noxfile.py"]

# The runs of this call of nox, and the Python that made the last of them: the table at the end is over all of them.
summaries: list[Path] = []
pythons: list[str] = []


def groups(*names: str) -> list[str]:
    """Return the requirements of some dependency groups."""
    return list(nox.project.dependency_groups(PYPROJECT, *names))


def install(session: nox.Session, *requirements: str) -> None:
    """Install, and let Python keep its bytecode whatever the shell says: each cell imports an ORM anew."""
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.install(*requirements)


def install_driver(session: nox.Session, driver: str) -> None:
    """Install a driver, built the way this machine allows; the plan for it is the harness's."""
    python = str(Path(session.bin) / "python")
    command = ["python", "-m", "matrix.provision.driver", driver, "--python", python]
    try:
        plan = json.loads(session.run(*command, silent=True, stderr=None, log=False))
    except nox.command.CommandFailed:
        session.error(f"{driver} cannot be installed here; the line above says why")
    install(session, *plan["install"])
    if plan.get("note"):
        session.log(plan["note"])


@nox.session
@nox.parametrize("driver", [nox.param(name, id=name, tags=[name]) for name in DRIVERS])
def matrix(session: nox.Session, driver: str) -> None:
    """Run one driver's cells, alone and under both ORMs, on real servers, and compare them with the claims."""
    install(session, *groups("harness", "django", "sqlalchemy"))
    install_driver(session, driver)
    if {argument.partition("=")[0] for argument in session.posargs} & {"--list", "--show", "--help", "-h"}:
        session.run("python", "-m", "matrix", "run", "--driver", driver, *session.posargs, log=False)
        return
    summary = Path(session.create_tmp()) / "summary.json"
    summary.unlink(missing_ok=True)
    try:
        session.run("python", "-m", "matrix", "run", "--driver", driver, "--summary", str(summary), *session.posargs)
    except nox.command.CommandFailed as error:
        if not summary.exists():  # what was asked for cannot be done, and the other drivers would say the same
            sys.exit(error.return_code or 2)
        raise
    finally:
        if summary.exists():
            summaries.append(summary)
            pythons.append(str(Path(session.bin) / "python"))
            session.notify("table", posargs=[])


@nox.session(python=False, default=False)
def table(session: nox.Session) -> None:
    """Print one table over what `matrix` ran; comes by itself at its end."""
    if not summaries:
        session.skip("nothing was run; nox -s matrix prints the table at its end")
    try:
        session.run(pythons[-1], "-m", "matrix", "summary", *map(str, summaries), external=True, log=False)
    except nox.command.CommandFailed as error:
        if error.return_code != 1:
            sys.exit(error.return_code or 2)
        raise


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; after `--`, pytest's own arguments."""
    install(session, *groups("harness", "tests", "django", "sqlalchemy"))
    for driver in DRIVERS:
        install_driver(session, driver)
    # A file's tests share servers and runs, so they stay together in one worker.
    session.run("python", "-m", "pytest", "-n", "auto", "--dist", "loadfile", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    install(session, *groups("lint"))
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    install(session, *groups("harness", "tests", "types", "django", "sqlalchemy", "pymysql", "psycopg"))
    session.run("mypy", "matrix", "tests", "drivers", "django_examples", "sqlalchemy_examples")


@nox.session(default=False)
def compare(session: nox.Session) -> None:
    """Check that results (after `--`: folders) show what the committed ones show, and that no page is stale."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix", "compare", *session.posargs)
    session.run("python", "-m", "matrix", "pages", "--check")


@nox.session(default=False)
def pages(session: nox.Session) -> None:
    """Write the pages and the README's tables from the results; after `--`, `--check` to see whether any is stale."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix", "pages", *session.posargs)


@nox.session(default=False)
def explain(session: nox.Session) -> None:
    """Explain an error message (after `--`) or a traceback (on standard input)."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix", "explain", *session.posargs, log=False)


@nox.session(default=False)
def advise(session: nox.Session) -> None:
    """Say what to write for a stack; after `--`, e.g. `--orm django --driver psycopg --launcher celery`."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix", "advise", *session.posargs, log=False)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Throw broken bytes at the decoders of both wire protocols; after `--`, e.g. `--seconds 60`."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix.wire.fuzz", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the harness and the relay add to the bare examples; after `--`, e.g. `--only 'bare/*'`."""
    install(session, *groups("harness", "django", "sqlalchemy"))
    for driver in DRIVERS:
        install_driver(session, driver)
    session.run("python", "-m", "matrix.run.bench", *session.posargs)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Test the report to look at in a Chromium, this machine's or $CHROMIUM; after `--`, pytest's own arguments."""
    install(session, *groups("harness", "tests"), "playwright>=1.50")
    session.run("python", "-m", "pytest", "tests/browser", *session.posargs)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Merge folders of results into one report to look at; after `--`, e.g. `results/* --output FILE.html`."""
    install(session, *groups("harness"))
    session.run("python", "-m", "matrix", "report", *session.posargs)


@nox.session(default=False)
def relay(session: nox.Session) -> None:
    """Check that cells have the same outcomes with the relay and without it; after `--`, e.g. `--only 'bare/*'`."""
    install(session, *groups("harness", "django", "sqlalchemy"))
    for driver in DRIVERS:
        install_driver(session, driver)
    session.run("python", "-m", "matrix.run.relay_check", *session.posargs)
