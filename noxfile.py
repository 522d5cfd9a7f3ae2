# /// script
# dependencies = ["nox[uv]>=2025.11.12", "uv>=0.13", "msgspec>=0.20"]
# ///
"""The sessions: `nox -s matrix` runs every driver, `nox -s tests` the tests. Imports nox and nothing of ours.

Every session runs in environments that hold the pins, and are shared: one for the harness, one for each driver, and
one for each kind of tool. `matrix/provision/environment.py` makes them.
"""

import json
import os
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

import nox

nox.needs_version = ">=2025.11.12"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "matrix"]

ROOT = Path(__file__).parent
DRIVERS = sorted(path.parent.name for path in ROOT.glob("drivers/*/driver.toml"))
LAUNCHERS = sorted(path.parent.name for path in ROOT.glob("launchers/*/launcher.toml"))
CONFIGURATIONS = sorted(path.stem for path in ROOT.glob("versions/*.toml"))
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def servers_beside_the_default_ones() -> dict[str, str]:
    """Return what `servers` runs, with its product: every series, and optional products, whose default is a series."""
    found = {}
    for path in sorted(ROOT.glob("matrix/servers/*/product.toml")):
        product, facts = path.parent.name, tomllib.loads(path.read_text())
        series = sorted(version.stem for version in path.parent.glob("versions/*.toml"))
        if facts.get("optional"):
            series = ["", *(each for each in series if each != facts["default"])]
        found |= {f"{product}{each}": product for each in series}
    return found


SERVERS = servers_beside_the_default_ones()

# The Python of all environments; nox keeps this variable from what its sessions run.
INTERPRETER = os.environ.get("UV_PYTHON", sys.executable)

# What runs here ends with this process, however this one ends; see matrix/process/ending.py.
os.environ["MATRIX_PARENT"] = str(os.getpid())
# A run that Ctrl-C ends drops its databases and stops its servers: seconds after which nox sends SIGTERM, and SIGKILL.
ENDING = {"interrupt_timeout": 10.0, "terminate_timeout": 60.0}

# Each cell imports an ORM again, from bytecode whatever the shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What this call of nox ran, and the drivers that it could not run: the table at the end is over all of them.
results = tempfile.TemporaryDirectory(prefix="nox-matrix-")
summaries: list[str] = []
failures: list[str] = []
listed: list[str] = []


def environments(session: nox.Session, *names: str) -> list[str]:
    """Return the Pythons of some environments, made now if they are missing or their pins changed.

    Returns none if one cannot be made; a line on standard error has said why.
    """
    return [str(python) for python in configured(session, *names).values()]


def configured(session: nox.Session, *names: str) -> dict[str, str | dict[str, str]]:
    """Return the Pythons of environments by name; instead, of a configuration's that cannot be made, why not."""
    command = [sys.executable, "-m", "matrix.provision.environment", "--interpreter", INTERPRETER, *names]
    made = session.run(*command, silent=True, stderr=None, log=False, success_codes=[0, 2])
    return dict(json.loads(made)) if isinstance(made, str) and made.strip() else {}


def named(made: dict[str, str | dict[str, str]]) -> list[str]:
    """Return what the harness is told of a configuration's environments: the Python of each, or why there is none."""
    return [
        f"--python={name.partition('@')[0]}={python}"
        if isinstance(python, str)
        else f"--missing={name.partition('@')[0]}={python['missing']}"
        for name, python in made.items()
    ]


def run(session: nox.Session, environment: str, *arguments: str, log: bool = True) -> None:
    """Run Python in an environment; end nox with 2 if it cannot be made."""
    (python,) = environments(session, environment) or sys.exit(2)
    session.run(python, *arguments, log=log, **ENDING)


def drivers(session: nox.Session) -> list[str]:
    """Return `DRIVER=PATH` for each driver, the Python of its environment; end nox with 2 if one cannot be made."""
    pythons = environments(session, *DRIVERS) or sys.exit(2)
    return [f"{driver}={python}" for driver, python in zip(DRIVERS, pythons, strict=True)]


@nox.session
@nox.parametrize("driver", [nox.param(name, id=name, tags=[name]) for name in DRIVERS])
def matrix(session: nox.Session, driver: str) -> None:
    """Run one driver's cells, alone and under each ORM, on real servers, and compare them with the claims."""
    if "--list" in session.posargs:  # one listing of all drivers that were asked for, which takes no environment
        listed.append(driver)
        session.notify("listing", posargs=session.posargs)
        return
    run_cells(session, "run", driver)


@nox.session(default=False)
@nox.parametrize("driver", [nox.param(name, id=name, tags=[name]) for name in DRIVERS])
def remedies(session: nox.Session, driver: str) -> None:
    """Run each hazard's own steps with each remedy in place, with one driver, and compare them with the claims."""
    run_cells(session, "remedies", driver)


def run_cells(session: nox.Session, command: str, driver: str) -> None:
    """Run cells of a driver, and have the table printed at the end; after `--`, options of the command."""
    pythons = environments(session, "harness", driver)
    if not pythons:
        failures.append(driver)
        session.notify("table", posargs=[])
        session.error(f"{driver} cannot be run here; the line above says why")
    harness, python = pythons
    whole = [harness, "-m", "matrix", command, "--driver", driver, "--python", python]
    if {argument.partition("=")[0] for argument in session.posargs} & {"--list", "--show", "--help", "-h"}:
        session.run(*whole, *session.posargs, log=False)
        return
    summary = Path(results.name) / f"{command}-{driver}.json"
    try:
        session.run(*whole, "--summary", str(summary), *session.posargs, **ENDING)
    except nox.command.CommandFailed as error:
        if not summary.exists():  # what was asked for cannot be done, and the other drivers would say the same
            sys.exit(error.return_code or 2)
        raise
    finally:
        if summary.exists():
            summaries.append(str(summary))
            session.notify("table", posargs=[])


@nox.session(default=False)
@nox.parametrize("server", [nox.param(name, id=name) for name in SERVERS])
def servers(session: nox.Session, server: str) -> None:
    """Run all drivers' cells on another series, or on MySQL, and compare; after `--`, the same as for `matrix`."""
    facts = {driver: tomllib.loads((ROOT / "drivers" / driver / "driver.toml").read_text()) for driver in DRIVERS}
    its = [driver for driver in DRIVERS if SERVERS[server] in facts[driver]["servers"]]
    quick = {argument.partition("=")[0] for argument in session.posargs} & {"--list", "--show", "--help", "-h"}
    pythons = environments(session, "harness", *([] if quick else its))
    if not pythons:
        failures.append(server)
        session.notify("table", posargs=[])
        session.error(f"{server} cannot be run here; the line above says why")
    command = [pythons[0], "-m", "matrix", "run", "--server", server, *[f"--driver={driver}" for driver in its]]
    command += [f"--python={driver}={python}" for driver, python in zip(its, pythons[1:], strict=bool(pythons[1:]))]
    try:
        session.run(*command, *session.posargs, log=not quick, **ENDING)
    except nox.command.CommandFailed as error:
        if error.return_code != 1:
            failures.append(server)
            session.notify("table", posargs=[])
        raise


@nox.session(default=False)
@nox.parametrize("launcher", [nox.param(name, id=name) for name in LAUNCHERS])
def launchers(session: nox.Session, launcher: str) -> None:
    """Run applications under a launcher, without and with each remedy; after `--`, e.g. `--driver psycopg`."""
    asks = {argument.partition("=")[0] for argument in session.posargs} & {"--list", "--show", "--help", "-h"}
    (harness,) = environments(session, "harness") or sys.exit(2)
    command = [harness, "-m", "matrix", "launchers", "--launcher", launcher]
    if asks:
        session.run(*command, *session.posargs, log=False)
        return
    try:
        # An environment for each driver that the cells name, and for no other.
        cells = session.run(*command, *session.posargs, "--list", silent=True, stderr=None, log=False)
        names = [name for name in DRIVERS if f"/{name}/" in str(cells)]
        pythons = environments(session, *[f"{driver}+{launcher}" for driver in names])
        if not pythons and names:
            failures.append(launcher)
            session.notify("table", posargs=[])
            session.error(f"{launcher} cannot be run here; the line above says why")
        command += [f"--python={driver}={python}" for driver, python in zip(names, pythons, strict=True)]
        session.run(*command, *session.posargs, **ENDING)
    except nox.command.CommandFailed as error:
        if error.return_code != 1:
            failures.append(launcher)
            session.notify("table", posargs=[])
        raise


@nox.session(default=False)
@nox.parametrize("configuration", [nox.param(name, id=name) for name in CONFIGURATIONS])
def versions(session: nox.Session, configuration: str) -> None:
    """Run other versions of drivers, ORMs and Python than the pins, from `versions/`, and say what differs there."""
    quick = {argument.partition("=")[0] for argument in session.posargs} & {"--list", "--help", "-h"}
    made = configured(session, "harness", *([] if quick else [f"@{configuration}"]))
    command = [
        str(made.pop("harness", "") or sys.exit(2)),
        "-m",
        "matrix",
        "versions",
        "--configuration",
        configuration,
    ]
    try:
        session.run(*command, *named(made), *session.posargs, log=not quick, **ENDING)
    except nox.command.CommandFailed as error:
        if error.return_code != 1:
            failures.append(configuration)
            session.notify("table", posargs=[])
        raise


@nox.session(default=False)
@nox.parametrize("which", [nox.param(name, id=name) for name in ("newest", "beyond")])
def drift(session: nox.Session, which: str) -> None:
    """Run the newest versions, within the ranges and beyond them, and say what changed; exits 1 if an outcome did."""
    made = configured(session, "harness", f"@{which}")
    command = [str(made.pop("harness", "") or sys.exit(2)), "-m", "matrix", "drift", "--range", which]
    session.run(*command, *named(made), *session.posargs, log=False, **ENDING)


@nox.session(default=False)
def table(session: nox.Session) -> None:
    """Print one table over what `matrix` ran; comes by itself at its end."""
    if not summaries and not failures:
        session.skip("nothing was run; nox -s matrix prints the table at its end")
    try:
        if summaries:
            run(session, "harness", "-m", "matrix", "summary", *summaries, log=False)
    except nox.command.CommandFailed as error:
        if error.return_code != 1:
            sys.exit(error.return_code or 2)
        if not failures:
            raise
    if failures:
        print(f"could not be run, in whole or in part: {', '.join(failures)}; the lines above say why")
        sys.exit(2)


@nox.session(default=False)
def listing(session: nox.Session) -> None:
    """Print the ids of cells; comes by itself after `matrix -- --list`."""
    drivers = [f"--driver={driver}" for driver in listed or DRIVERS]
    try:
        session.run(sys.executable, "-m", "matrix.catalogue", *drivers, *session.posargs, log=False)
    except nox.command.CommandFailed as error:
        sys.exit(error.return_code or 2)


@nox.session(default=False)
def completion(session: nox.Session) -> None:
    """Print a shell function `matrix` with completions; after `--`, `bash`, `zsh` or `fish`."""
    run(session, "harness", "-m", "matrix", "completion", *session.posargs, log=False)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; after `--`, pytest's own arguments."""
    beside = []
    for number, launcher in enumerate(LAUNCHERS):  # the drivers take turns
        path = ROOT / "matrix" / "results" / "launchers" / f"{launcher}.json"
        ran = {cell["cell"]["driver"]: 0 for cell in json.loads(path.read_text())["cells"]} if path.exists() else {}
        beside += [f"{list(ran)[number % len(ran)]}+{launcher}"] if ran else []
    pythons = environments(session, *beside) or sys.exit(2)
    with_launchers = [f"{name}={python}" for name, python in zip(beside, pythons, strict=True)]
    session.env["MATRIX_PYTHON"] = os.pathsep.join([*drivers(session), *with_launchers])
    # A file's tests share servers and runs, so they stay together in one worker.
    run(session, "tests", "-m", "pytest", "-n", "auto", "--dist", "loadfile", *session.posargs)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Report how much of the harness the tests reach, programs that they start included; after `--`, as `tests`."""
    session.env["MATRIX_PYTHON"] = os.pathsep.join(drivers(session))
    with tempfile.TemporaryDirectory() as folder:
        session.env["COVERAGE_FILE"] = str(Path(folder) / "coverage")
        run(session, "tests", "-m", "coverage", "run", "-m", "pytest", *session.posargs)
        run(session, "tests", "-m", "coverage", "combine", "--quiet")
        run(session, "tests", "-m", "coverage", "report")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, and the workflow's security."""
    (python,) = environments(session, "lint") or sys.exit(2)
    session.run(python, "-m", "ruff", "check")
    session.run(python, "-m", "ruff", "format", "--check")
    session.run(str(Path(python).with_name("zizmor")), "--offline", "--quiet", "--persona=auditor", ".github")


@nox.session
def types(session: nox.Session) -> None:
    """Check types."""
    run(session, "types", "-m", "mypy", *PACKAGES)


@nox.session(default=False)
def compare(session: nox.Session) -> None:
    """Check that results (after `--`: folders) show what the committed ones show, and that no page is stale."""
    run(session, "harness", "-m", "matrix", "compare", *session.posargs)
    run(session, "harness", "-m", "matrix", "pages", "--check")


@nox.session(default=False)
def pages(session: nox.Session) -> None:
    """Write the pages and the README's tables from the results; after `--`, `--check` to see whether any is stale."""
    run(session, "harness", "-m", "matrix", "pages", *session.posargs)


@nox.session(default=False)
def explain(session: nox.Session) -> None:
    """Explain an error message (after `--`) or a traceback (on standard input)."""
    run(session, "harness", "-m", "matrix", "explain", *session.posargs, log=False)


@nox.session(default=False)
def advise(session: nox.Session) -> None:
    """Say what to write for a stack; after `--`, e.g. `--orm django --driver psycopg --launcher celery`."""
    run(session, "harness", "-m", "matrix", "advise", *session.posargs, log=False)


@nox.session(default=False)
def fuzz(session: nox.Session) -> None:
    """Throw broken bytes at the decoders; after `--`, e.g. `--inputs 1000000`, or `--guided` to use atheris."""
    if "--guided" in session.posargs:
        run(session, "fuzz", "-m", "matrix.wire.guided", *[one for one in session.posargs if one != "--guided"])
    else:
        run(session, "harness", "-m", "matrix.wire.fuzz", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure what the harness and the relay add to the bare examples; after `--`, e.g. `--only 'bare/*'`."""
    pythons = [f"--python={one}" for one in drivers(session)]
    run(session, "harness", "-m", "matrix.run.bench", *pythons, *session.posargs)


@nox.session(default=False)
def costs(session: nox.Session) -> None:
    """Measure what remedies cost, as ratios; after `--`, e.g. `--only 'connect/*/psycopg'` or `--rounds 20`."""
    pythons = [f"--python={one}" for one in drivers(session)]
    run(session, "harness", "-m", "matrix.costs", *pythons, *session.posargs, log=False)


@nox.session(default=False)
def reproductions(session: nox.Session) -> None:
    """Run the scripts for maintainers: each exits 1 while its defect is there; after `--`, e.g. `--only 'psycopg*'`."""
    pythons = [f"--python={one}" for one in drivers(session)]
    run(session, "harness", "-m", "matrix.run.reproductions", *pythons, *session.posargs, log=False)


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Test the report to look at in a Chromium, this machine's or $CHROMIUM; after `--`, pytest's own arguments."""
    run(session, "browser", "-m", "pytest", "tests/browser", *session.posargs)


@nox.session(default=False)
def site(session: nox.Session) -> None:
    """Build the site in the folder `site`, strictly, and check its links; after `--`, pytest's own arguments."""
    (python,) = environments(session, "site") or sys.exit(2)
    source, built = ROOT / ".nox" / "site", ROOT / "site"
    session.run(python, "-m", "matrix", "site", "--output", str(source))
    shutil.rmtree(built, ignore_errors=True)
    session.run(
        python, "-m", "sphinx", "--fail-on-warning", "--nitpicky", "--quiet", "-b", "html", str(source), str(built)
    )
    session.run(python, "-m", "pytest", "-q", "tests/site", *session.posargs)


@nox.session(default=False)
def report(session: nox.Session) -> None:
    """Merge folders of results into one report to look at; after `--`, e.g. `results/* --output FILE.html`."""
    run(session, "harness", "-m", "matrix", "report", *session.posargs)


@nox.session(default=False)
def relay(session: nox.Session) -> None:
    """Check that cells have the same outcomes with the relay and without it; after `--`, e.g. `--only 'bare/*'`."""
    pythons = [f"--python={one}" for one in drivers(session)]
    run(session, "harness", "-m", "matrix.run.relay_check", *pythons, *session.posargs)


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Pin what the ranges in `pyproject.toml` and the folders of drivers and stacks allow; after `--`, `--upgrade`."""
    try:
        session.run(sys.executable, "-m", "matrix.provision.pins", "lock", *session.posargs, log=False)
    except nox.command.CommandFailed as error:
        sys.exit(error.return_code or 2)
