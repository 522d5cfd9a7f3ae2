"""Say what has to be installed for a driver: ``python -m matrix.provision.driver <driver> --python PYTHON``.

Most drivers are installed from the index as their dependency group says. A driver with a ``[build]`` table in its
``driver.toml`` has no wheel for Linux and is built here, against C headers that may not be installed:

    [build]
    headers = "libmariadb"                       # what pkg-config and the distribution call the C library
    without_compiler = "mysqlclient-static"      # what to install instead where nothing can be built

The wheel is kept in the cache. Where its C library was unpacked rather than installed, the library is put into the
wheel, beside the extension module: an environment that has it depends on no other folder.

Prints one JSON object, ``{"install": [...], "note": "..."}``: the arguments for one ``pip install`` (or ``uv pip
install``) of its own, empty where nothing is to be done, and a sentence the results have to carry, or nothing. Progress
goes to standard error. Exit status 2, and one line, where the driver cannot be had.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.provision import apt, cache, pip

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 300  # seconds a build may take; two are usual

MARK = "MATRIX_BUILD"  # a file in the metadata of our wheels: which recipe made it, and the digest of what it made

CONFIG_PROGRAMS = ("mariadb_config", "mysql_config")

# Run by the Python the driver is for, which may have nothing installed and be of another version than this one.
QUESTIONS = """
import hashlib, importlib.metadata, importlib.util, json, os, sys, sysconfig
module, mark, *distributions = sys.argv[1:]
include = sysconfig.get_path("include")
answer = {
    "tag": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag + "-" + sysconfig.get_platform(),
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
    "include": include,
    "compiler": os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc",
    "marks": [],
    "digest": None,
}
for name in distributions:
    try:
        answer["marks"].append(importlib.metadata.distribution(name).read_text(mark))
    except importlib.metadata.PackageNotFoundError:
        pass
spec = importlib.util.find_spec(module)
if spec is not None:
    folder = spec.submodule_search_locations[0]
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".so"))
    answer["digest"] = hashlib.sha256(b"".join(open(file, "rb").read() for file in files)).hexdigest()
print(json.dumps(answer))
"""


@dataclass(frozen=True)
class Provision:
    """What to install for a driver, as arguments of one ``pip install``, and what the results have to say about it."""

    install: list[str]
    note: str = ""


def provision(
    driver: str, python: Path, report: Callable[[str], None], *, root: Path = ROOT, watchdog: Watchdog
) -> Provision:
    """Make what a driver needs and return what to install; raise ``MatrixError`` where it cannot be had."""
    known = sorted(path.parent.name for path in root.glob("drivers/*/driver.toml"))
    if driver not in known:
        raise MatrixError(f"there is no driver {driver!r}; there are {', '.join(known)}")
    facts = tomllib.loads((root / "drivers" / driver / "driver.toml").read_text())
    group = requirements(tomllib.loads((root / "pyproject.toml").read_text()), driver)
    if "build" not in facts:
        return Provision(group)
    return _Builder(facts, group, python, report, watchdog).provision()


def requirements(pyproject: dict[str, Any], group: str) -> list[str]:
    """Return a dependency group's requirements, with those of the groups it includes."""
    try:
        entries = pyproject["dependency-groups"][group]
    except KeyError:
        raise MatrixError(f"pyproject.toml has no dependency group {group!r}") from None
    found: list[str] = []
    for entry in entries:
        found += [entry] if isinstance(entry, str) else requirements(pyproject, entry["include-group"])
    return found


class _Builder:
    """Builds one driver for one Python."""

    def __init__(
        self, facts: dict[str, Any], group: list[str], python: Path, report: Callable[[str], None], watchdog: Watchdog
    ) -> None:
        self._distribution: str = facts["distributions"][0]
        self._module: str = facts["module"]
        self._headers: str = facts["build"]["headers"]
        self._instead: str = facts["build"]["without_compiler"]
        self._python = python
        self._report = report
        self._watchdog = watchdog
        if len(group) != 1:
            # It is installed without dependencies and by force, which nothing else should be.
            raise MatrixError(f"the dependency group of {self._distribution}, which is built, has to name it alone")
        (self._requirement,) = group

    def provision(self) -> Provision:
        answer = self._ask()
        if problem := _cannot_compile(answer):
            return self._stand_in(answer, problem)
        if flags := self._system_flags():

            def fill(folder: Path) -> None:
                self._report(f"building {self._requirement} against the system's {self._headers}")
                self._pip_wheel(folder, flags)

            return Provision(self._install(answer, self._requirement, json.dumps(flags), fill))
        try:
            apt.require_tools()
        except MissingError as error:
            return self._stand_in(answer, f"there are no headers of {self._headers} here, and {error}")
        against = f"unpacked {apt.release_name()}"
        return Provision(self._install(answer, self._requirement, against, self._build_unpacked))

    def _stand_in(self, answer: dict[str, Any], problem: str) -> Provision:
        """Return the prebuilt wheel for where nothing can be built."""
        note = f"{self._instead} (prebuilt, with a C library of its own) stands in for {self._distribution}: {problem}"
        self._report(note)
        try:
            return Provision(self._install(answer, self._instead, "prebuilt", self._download), note)
        except MissingError as error:
            raise MissingError(f"{self._distribution} cannot be had here: {problem}; and {error}") from error

    def _install(
        self, answer: dict[str, Any], requirement: str, against: str, fill: Callable[[Path], None]
    ) -> list[str]:
        """Return the arguments that install the wheel of one recipe, made now if it is not in the cache.

        Where it is installed already and works, the requirement alone, which is met then. It is installed by force
        otherwise: an installer would leave another build of the same version in its place.
        """
        key = hashlib.sha256(f"{requirement} {answer['tag']} {answer['include']} {against}".encode())
        plain = re.split(r"[^-\w]", requirement)[0]
        name = f"{plain}-{answer['tag']}-{key.hexdigest()[:12]}"
        if f"{name} {answer['digest']}" in answer["marks"]:
            problem = self._broken()
            if not problem:
                return [requirement]
            # What it is linked to has gone since.
            self._report(f"making {requirement} again: {problem}")
            cache.discard(name)

        def fill_and_mark(folder: Path) -> None:
            fill(folder)
            (wheel,) = folder.glob("*.whl")
            metadata = re.sub(r"^([^-]+-[^-]+)-.*", r"\1.dist-info", wheel.name)
            mark = f"{name} {digest(wheel, self._module)}"
            add_to_wheel(wheel, {f"{metadata}/{MARK}": mark.encode()})

        (wheel,) = cache.entry(name, fill_and_mark).glob("*.whl")
        return ["--force-reinstall", "--no-deps", str(wheel)]

    def _ask(self) -> dict[str, Any]:
        """Return what there is to know about that Python."""
        text = self._run("-c", QUESTIONS, self._module, MARK, self._distribution, self._instead)
        try:
            answer: dict[str, Any] = json.loads(text.stdout)
        except ValueError as error:
            raise MatrixError(f"{self._python} does not run: {text.stderr.strip() or error}") from error
        return answer

    def _broken(self) -> str:
        """Return why the installed module cannot be imported, or nothing if it can."""
        done = self._run("-c", f"import {self._module}")
        if done.returncode < 0:
            return f"importing {self._module} dies by signal {-done.returncode}"
        return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self._python, *arguments], capture_output=True, text=True, check=False, timeout=60, cwd="/"
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MatrixError(f"{self._python} is not a Python that runs: {error}") from error

    def _variables(self) -> list[str]:
        """Return the names of the variables the driver's build takes its flags from."""
        return [f"{self._distribution.upper().replace('-', '_')}_{kind}" for kind in ("CFLAGS", "LDFLAGS")]

    def _system_flags(self) -> dict[str, str]:
        """Return the variables that tell the build of the system's C library; none if its headers are not installed.

        The user's own come first, then pkg-config's answer, then that of the library's own program.
        """
        variables = self._variables()
        if all(name in os.environ for name in variables):
            return {name: os.environ[name] for name in variables}
        asked = [["pkg-config", name] for name in _pkg_config_names(self._headers)]
        for command in [*asked, *([name] for name in CONFIG_PROGRAMS)]:
            if shutil.which(command[0]):
                answers = [
                    subprocess.run([*command, option], capture_output=True, text=True, check=False)
                    for option in ("--cflags", "--libs")
                ]
                if not any(answer.returncode for answer in answers):
                    # An empty answer is right where the headers are in the compiler's own folders.
                    return dict(zip(variables, (answer.stdout.strip() or "-O2" for answer in answers), strict=True))
        return {}

    def _download(self, folder: Path) -> None:
        self._report(f"fetching {self._instead}")
        wheel = pip.download(self._instead, folder / "wheel", interpreter=self._python)
        wheel.rename(folder / wheel.name)
        shutil.rmtree(folder / "wheel")

    def _build_unpacked(self, folder: Path) -> None:
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        library = apt.unpack(
            f"{self._headers}-dev",
            rf"{re.escape(self._headers)}(\d+\w*|-dev)",
            f"usr/lib/*/{self._headers}.so.*",
            unpacked,
            self._report,
            self._watchdog,
        )
        include = next(unpacked.glob("usr/include/*/mysql.h")).parent
        self._report(f"building {self._requirement}")
        name = self._headers.removeprefix("lib")
        compile_flags, link_flags = self._variables()
        self._pip_wheel(
            folder,
            {
                # Folders by variables of the compiler's: a space in their paths would end an option.
                "CPATH": str(include),
                "LIBRARY_PATH": str(library.parent),
                compile_flags: "-O2",
                # The loader looks beside the extension module, which is where the library is put next.
                link_flags: f"-l{name} -Wl,-rpath,$ORIGIN",
            },
        )
        bundled = {library.name: library.resolve()}
        for place in apt.library_folders(unpacked):
            for path in place.glob("*.so.*"):
                if not path.name.startswith(self._headers):
                    bundled[path.name] = path.resolve()
        (wheel,) = folder.glob("*.whl")
        add_to_wheel(wheel, {f"{self._module}/{name}": path.read_bytes() for name, path in bundled.items()})
        shutil.rmtree(unpacked)

    def _pip_wheel(self, folder: Path, environ: dict[str, str]) -> None:
        """Build the wheel without any cache of pip's: a cached one may be linked to what is not here."""
        temporary = folder / "tmp"
        temporary.mkdir()
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self._python), "wheel"]
        command += ["--quiet", "--no-input", "--no-deps", "--no-cache-dir", "--no-binary", self._distribution]
        command += ["--wheel-dir", str(folder), self._requirement]
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
                env={**os.environ, **environ, "TMPDIR": str(temporary)},
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError(f"{self._distribution} was not built within {PATIENCE} s") from error
        shutil.rmtree(temporary)
        if done.returncode:
            raise MissingError(f"{self._distribution} cannot be built: {pip.complaint(done.stderr)}")


def _cannot_compile(answer: dict[str, Any]) -> str:
    """Return why no extension can be compiled for that Python, or nothing if it can."""
    if not shutil.which(answer["compiler"].split()[0]):
        return f"there is no C compiler ({answer['compiler'].split()[0]}) here"
    if not answer["headers"]:
        return f"there is no Python.h in {answer['include']}"
    return ""


def _pkg_config_names(library: str) -> list[str]:
    """Return the names under which pkg-config may know a client library that can stand in for this one."""
    return list(dict.fromkeys([library, "libmariadb", "mariadb", "mysqlclient"]))


def digest(wheel: Path, module: str) -> str:
    """Return the digest of a wheel's extension modules, as ``QUESTIONS`` takes it from an installed package."""
    with zipfile.ZipFile(wheel) as archive:
        names = sorted(name for name in archive.namelist() if re.fullmatch(rf"{module}/[^/]*\.so", name))
        return hashlib.sha256(b"".join(archive.read(name) for name in names)).hexdigest()


def add_to_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Add files to a wheel, its ``RECORD`` included.

    See https://packaging.python.org/en/latest/specifications/binary-distribution-format/ for the format.
    """
    with zipfile.ZipFile(wheel) as archive:
        items = [(item, archive.read(item)) for item in archive.infolist()]
    record = next(item.filename for item, _ in items if item.filename.endswith(".dist-info/RECORD"))
    lines = []
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, content in items:
            if item.filename == record:
                lines = content.decode().splitlines()
            else:
                archive.writestr(item, content)
        for name, content in files.items():
            information = zipfile.ZipInfo(name)
            information.external_attr = 0o755 << 16
            information.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(information, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.insert(0, f"{name},sha256={digest},{len(content)}")
        archive.writestr(record, "\n".join(lines) + "\n")
    part.replace(wheel)


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m matrix.provision.driver", description="Say, as JSON, what has to be installed for a driver."
    )
    parser.add_argument("driver")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the Python the driver is for")
    options = parser.parse_args(arguments)
    try:
        with Watchdog() as watchdog:
            done = provision(
                options.driver,
                options.python.absolute(),
                lambda line: print(line, file=sys.stderr, flush=True),
                watchdog=watchdog,
            )
    except MatrixError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"install": done.install, "note": done.note}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
