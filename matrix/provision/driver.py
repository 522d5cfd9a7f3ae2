"""Build a driver that has no wheel for Linux: ``python -m matrix.provision.driver <driver> --python PYTHON``.

Its ``driver.toml`` has a ``[build]`` table, and it is built here against C headers that may not be installed:

    [build]
    headers = "libmariadb"                             # what pkg-config and the distribution call the C library
    requires = ["setuptools>=77"]                      # what the build needs
    without_compiler = "mysqlclient-static~=2.3"       # what to install instead if nothing can be built, if anything
    program = "pg_config"                              # what the build calls to find the C library, if it does
    flags = "-I{include}/internal"                     # more of the compiler's flags, if any

What is downloaded is pinned with hashes: the sdist in the driver's ``requirements.txt``, what the build needs in
``requirements-build.txt``. The wheel is kept in the cache. If its C library was unpacked rather than installed, the
library is put into the wheel, beside the extension module: an environment that has it depends on no other folder.

Prints one JSON object, ``{"wheel": PATH, "note": ""}``, or a wheel of null and a note that says why nothing can be
built here. Progress goes to standard error. Exit status 2, and one line, if the build fails; then the object is
``{"problem": WHY}``.
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
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.provision import apt, cache, pins, pip

if TYPE_CHECKING:
    from collections.abc import Callable

    from matrix.provision.pins import Pins

PATIENCE = 300  # seconds a build may take; two are usual

CONFIG_PROGRAMS = ("mariadb_config", "mysql_config")

# Run by the Python the driver is for, which may have nothing installed and be of another version than this one.
QUESTIONS = """
import json, os, sys, sysconfig
include = sysconfig.get_path("include")
print(json.dumps({
    "tag": sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag + "-" + sysconfig.get_platform(),
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
    "include": include,
    "compiler": os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc",
}))
"""

# What a build that calls `pg_config` asks it, where the library is unpacked rather than installed.
PROGRAM = """\
#!/bin/sh
case "$1" in
--version) echo "PostgreSQL {version}.0" ;;
--libdir) echo "{library}" ;;
--includedir*) echo "{include}" ;;
--bindir) echo "{programs}" ;;
esac
"""


class Target(msgspec.Struct, frozen=True):
    """The Python that a driver is built for, and whether extensions can be compiled for it."""

    tag: str
    headers: bool
    include: str
    compiler: str


@dataclass(frozen=True)
class Provision:
    """The wheel of a driver that was built here, or none, and the note why there is none."""

    wheel: Path | None
    note: str = ""


def provision(
    driver: str, python: Path, report: Callable[[str], None], *, root: Path = pins.ROOT, watchdog: Watchdog
) -> Provision:
    """Build a driver, or take it from the cache; raise ``MatrixError`` if the build fails."""
    known = pins.environments(root) | (pins.newest(root) | pins.configurations(root) if "@" in driver else {})
    built = {name: one for name, one in known.items() if one.build}
    if driver not in built:
        raise MatrixError(f"{driver!r} is not a driver that is built here; these are: {', '.join(built)}")
    return _Builder(built[driver], python, report, watchdog).provision()


class _Builder:
    """Builds one driver for one Python."""

    def __init__(self, wanted: Pins, python: Path, report: Callable[[str], None], watchdog: Watchdog) -> None:
        assert wanted.build is not None
        self._distribution = wanted.names[0]
        self._pins = [pin.text for pin in wanted.check() if pin.name == self._distribution]
        self._build = wanted.build
        self._build_pins = [pin.text for pin in wanted.build.pins.check()]
        self._headers = wanted.build.headers
        self._python = python
        self._report = report
        self._watchdog = watchdog

    def provision(self) -> Provision:
        target = self._ask()
        if problem := _cannot_compile(target):
            return self._stand_in(problem)
        if self._build.program:
            return Provision(self._with_program(self._build.program, target))
        if flags := self._system_flags():

            def fill(folder: Path) -> None:
                self._report(f"building {self._distribution} against the system's {self._headers}")
                self._pip_wheel(folder, flags)

            return Provision(self._wheel(target, json.dumps(flags), fill))
        try:
            apt.require_tools()
        except MissingError as error:
            return self._stand_in(f"there are no headers of {self._headers} here, and {error}")
        return Provision(self._wheel(target, f"unpacked {apt.release_name()}, with plugins", self._build_unpacked))

    def _stand_in(self, problem: str) -> Provision:
        """Say that the prebuilt wheel is to be installed, because nothing can be built; raise if there is none."""
        if self._build.prebuilt is None:
            raise MissingError(f"{self._distribution} cannot be built: {problem}")
        instead = self._build.prebuilt.names[0]
        note = f"{instead} (prebuilt, with a C library of its own) stands in for {self._distribution}: {problem}"
        return Provision(None, note)

    def _with_program(self, program: str, target: Target) -> Path:
        """Return the wheel of a driver whose build calls a program to find the C library.

        If the system has no headers, the program is a script that names the folders of an unpacked package.
        """
        flags = self._build.flags.format(include=target.include)
        found = shutil.which(program)
        include = found and subprocess.run([found, "--includedir"], capture_output=True, text=True, check=False)
        if include and list(Path(include.stdout.strip()).glob(f"{self._headers}-fe.h")):

            def fill(folder: Path) -> None:
                self._report(f"building {self._distribution} against the system's {self._headers}")
                self._pip_wheel(folder, {"CFLAGS": flags})

            return self._wheel(target, json.dumps([program, include.stdout, flags]), fill)
        try:
            apt.require_tools()
        except MissingError as error:
            raise MissingError(f"there are no headers of {self._headers} here, and {error}") from None

        def unpack(folder: Path) -> None:
            unpacked, library = self._unpack(folder)
            scripts = folder / "bin"
            scripts.mkdir()
            header = next(unpacked.glob(f"usr/include/**/{self._headers}-fe.h"))
            version = library.resolve().name.rpartition(".so.")[2].partition(".")[2]  # `libpq.so.5.15`: of release 15
            text = PROGRAM.format(version=version, library=library.parent, include=header.parent, programs=scripts)
            (scripts / program).write_text(text)
            (scripts / program).chmod(0o755)
            self._report(f"building {self._distribution}")
            self._pip_wheel(
                folder,
                {
                    "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                    "CFLAGS": flags,
                    "LDFLAGS": "-Wl,-rpath,$ORIGIN",
                },
            )
            shutil.rmtree(scripts)
            self._bundle(folder, unpacked, library)

        return self._wheel(target, f"unpacked {apt.release_name()} {flags}", unpack)

    def _wheel(self, target: Target, against: str, fill: Callable[[Path], None]) -> Path:
        """Return the wheel of one recipe, made now if it is not in the cache or does not work any more."""
        recipe = [*self._pins, *self._build_pins, target.tag, target.include, against]
        name = f"{self._distribution}-{target.tag}-{hashlib.sha256(' '.join(recipe).encode()).hexdigest()[:12]}"
        found = cache.find(name)
        if found and (problem := self._broken(found)):  # what it is linked to has gone since
            self._report(f"building {self._distribution} again: {problem}")
            cache.discard(name)
        (wheel,) = cache.entry(name, fill).glob("*.whl")
        return wheel

    def _ask(self) -> Target:
        """Return what there is to know about that Python."""
        text = self._run("-c", QUESTIONS)
        try:
            return msgspec.json.decode(text.stdout, type=Target)
        except msgspec.DecodeError as error:
            raise MatrixError(f"{self._python} does not run: {text.stderr.strip() or error}") from error

    def _broken(self, folder: Path) -> str:
        """Return why the module in a folder's wheel cannot be imported, or nothing if it can."""
        with tempfile.TemporaryDirectory() as unpacked:
            for wheel in folder.glob("*.whl"):
                pip.unpack(wheel, Path(unpacked))
            done = self._run("-c", f"import sys; sys.path.insert(0, {unpacked!r}); import {self._build.module}")
        if done.returncode < 0:
            return f"importing {self._build.module} dies by signal {-done.returncode}"
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

    def _unpack(self, folder: Path) -> tuple[Path, Path]:
        """Unpack the distribution's package of the headers; return where it is, and the C library in it."""
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
        return unpacked, library

    def _build_unpacked(self, folder: Path) -> None:
        unpacked, library = self._unpack(folder)
        include = next(unpacked.glob("usr/include/*/mysql.h")).parent
        self._report(f"building {self._distribution}")
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
        self._bundle(folder, unpacked, library)

    def _bundle(self, folder: Path, unpacked: Path, library: Path) -> None:
        """Put the C library, and what it needs, into the wheel; remove what was unpacked."""
        bundled = {library.name: library.resolve()}
        for place in apt.library_folders(unpacked):
            for path in place.glob("*.so.*"):
                if not path.name.startswith(self._headers):
                    bundled[path.name] = path.resolve()
        # What the library loads by itself, such as MySQL's way to log in; see `environ` in `driver.toml`.
        for path in unpacked.glob(f"usr/lib/*/{self._headers}*/plugin/*.so"):
            bundled[f"plugin/{path.name}"] = path
        (wheel,) = folder.glob("*.whl")
        add_to_wheel(wheel, {f"{self._build.module}/{name}": path.read_bytes() for name, path in bundled.items()})
        shutil.rmtree(unpacked)

    def _pip_wheel(self, folder: Path, environ: dict[str, str]) -> None:
        """Build the wheel, from an sdist and with build requirements that have the pinned hashes.

        Isolation would install what the build needs without hashes; so it is installed first, into a folder of its own.
        No cache of pip's: a cached wheel may be linked to what is not here.
        """
        with tempfile.TemporaryDirectory(dir=folder) as name:
            temporary = Path(name)
            environ = {**os.environ, **environ, "TMPDIR": name, "PYTHONPATH": str(temporary / "build")}
            needed = _listing(temporary / "build.txt", self._build_pins)
            self._pip(
                environ, "install", "--no-deps", "--only-binary=:all:", "--target", str(temporary / "build"), needed
            )
            sdist = _listing(temporary / "sdist.txt", self._pins)
            self._pip(
                environ,
                *("wheel", "--no-deps", "--no-cache-dir", "--no-build-isolation", "--check-build-dependencies"),
                *("--no-binary", self._distribution, "--wheel-dir", str(folder), sdist),
            )

    def _pip(self, environ: dict[str, str], command: str, *arguments: str) -> None:
        whole = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(self._python), command]
        whole += ["--quiet", "--no-input", "--require-hashes", *arguments]
        try:
            done = subprocess.run(
                whole,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
                env=environ,
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError(f"{self._distribution} was not built within {PATIENCE} s") from error
        if done.returncode:
            raise MissingError(f"{self._distribution} cannot be built: {pip.complaint(done.stderr)}")


def _listing(path: Path, lines: list[str]) -> str:
    """Write a file of requirements and return the argument that installs them."""
    path.write_text("\n".join(lines) + "\n")
    return f"--requirement={path}"


def _cannot_compile(target: Target) -> str:
    """Return why no extension can be compiled for that Python, or nothing if it can."""
    if not shutil.which(target.compiler.split()[0]):
        return f"there is no C compiler ({target.compiler.split()[0]}) here"
    if not target.headers:
        return f"there is no Python.h in {target.include}"
    return ""


def _pkg_config_names(library: str) -> list[str]:
    """Return the names under which pkg-config may know a client library that can stand in for this one."""
    return list(dict.fromkeys([library, "libmariadb", "mariadb", "mysqlclient"]))


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
        prog="python -m matrix.provision.driver", description="Build a driver, as a wheel."
    )
    parser.add_argument("driver")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the Python the driver is for")
    parser.add_argument("--root", type=Path, default=pins.ROOT, help="the repository")
    options = parser.parse_args(arguments)
    try:
        with Watchdog() as watchdog:
            done = provision(
                options.driver,
                options.python.absolute(),
                lambda line: print(line, file=sys.stderr, flush=True),
                root=options.root,
                watchdog=watchdog,
            )
    except MatrixError as error:
        print(json.dumps({"problem": str(error)}))
        return 2
    print(json.dumps({"wheel": done.wheel and str(done.wheel), "note": done.note}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
