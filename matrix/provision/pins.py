"""The pins: what each environment holds, as exact versions with hashes. Written by `nox -s lock`.

An environment is a dependency group of `pyproject.toml`, pinned in `requirements/<group>.txt`, or a driver with the
ORMs of the stacks that it serves, pinned in the driver's own folder: `requires` of a driver is in its `driver.toml`,
that of an ORM in the `stack.toml` of its stack. A driver that is built here has two files more, for what its build
needs and for what stands in for it.

A launcher is pinned in its own folder, with what the applications that run under it require; it is installed beside a
driver, and its pins agree with those of every driver.

A configuration (`versions/<name>.toml`) is a driver's environment with something else in it: other versions of the
driver or of an ORM, another Python. What it requires takes the place of what the driver and the stacks require of the
same distributions, and is pinned in `versions/<name>/<driver>.txt`.

    python -m matrix.provision.pins                  check every file of pins against what it has to satisfy
    python -m matrix.provision.pins lock [--upgrade] write them; a file whose pins did not change is not touched

Needs nothing but `packaging`, so that nox's Python can run it before there is any other environment.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.markers import InvalidMarker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from matrix.errors import MatrixError

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# Written by `nox -s lock`; change the ranges in {source} instead.\n"
#: Added to uv's environment, where what the user has set comes first: the certificates that this system trusts, which
#: may be those of a proxy, and no Python but those that are installed.
UV = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}


@dataclass(frozen=True)
class Pin:
    """One line of a file of pins: an exact version of a distribution, and the hashes of its files."""

    name: str
    version: str
    line: int
    hashes: tuple[str, ...]
    text: str
    marker: str = ""

    @property
    def constraint(self) -> str:
        """The pin without its hashes, as a constraint on others."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


@dataclass(frozen=True)
class Pins:
    """A file of pins, and the requirements that it has to satisfy, which are in the file `source`.

    `build` is there if the driver that is required first has no wheel and is built here; `tools` are the pins of what
    compiling a launcher needs. `beside` are pins that may be installed in the same environment, with which these have
    to agree. `python` is the oldest version of Python that they are for, if it is not the project's.
    """

    path: Path
    source: Path
    requires: tuple[str, ...]
    root: Path
    build: Build | None = None
    tools: Pins | None = None
    beside: tuple[Pins, ...] = ()
    python: str | None = None

    @property
    def names(self) -> list[str]:
        """The distributions that are required by name, the driver's own first."""
        return [canonicalize_name(Requirement(text).name) for text in self.requires]

    def __str__(self) -> str:
        return str(self.path.relative_to(self.root))

    def read(self) -> list[Pin]:
        """Return the pins; raise MatrixError where one is not exact, has no hash, or a line is something else."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise MatrixError(f"{self} cannot be read ({error.strerror}): `nox -s lock` writes it") from None
        found = []
        number = 1
        for entry in re.split(r"(?<!\\)\n", text):  # a backslash continues a line
            if entry.strip() and not entry.startswith("#"):
                found.append(self._pin(entry, number))
            number += 1 + entry.count("\n")
        return found

    def _pin(self, text: str, number: int) -> Pin:
        where = f"{self}, line {number}"
        words, *hashes = re.split(r"\s+--hash=", text.replace("\\\n", " "))
        try:
            requirement = Requirement(words.strip())
        except (InvalidRequirement, InvalidMarker):
            raise MatrixError(f"{where}: {words.strip()!r} is not a pin: `nox -s lock` writes them") from None
        exact = re.fullmatch(r"==([^*,]+)", str(requirement.specifier))
        if exact is None:
            raise MatrixError(f"{where}: {requirement.name} is not pinned to one version: `nox -s lock` pins it")
        if not hashes:
            raise MatrixError(f"{where}: {requirement.name} has no hash: `nox -s lock` writes them")
        name = canonicalize_name(requirement.name)
        digests = tuple(sorted(one.strip() for one in hashes))
        return Pin(name, exact[1], number, digests, text, str(requirement.marker or ""))

    def check(self) -> list[Pin]:
        """Return the pins; raise MatrixError where they do not satisfy the requirements."""
        pins = self.read()
        source = self.source.relative_to(self.root)
        for text in self.requires:
            wanted = Requirement(text)
            found = [pin for pin in pins if pin.name == canonicalize_name(wanted.name)]
            if not found:
                raise MatrixError(f"{self} has no pin of {wanted.name}, which {source} requires: run `nox -s lock`")
            for pin in found:
                if not wanted.specifier.contains(pin.version, prereleases=True):
                    raise MatrixError(
                        f"{self}, line {pin.line}: {pin.name} {pin.version} is outside the range in {source}"
                        f" ({wanted.specifier}): run `nox -s lock`"
                    )
        for other in self.beside:
            versions = {(pin.name, pin.marker): pin.version for pin in other.read()}
            for pin in pins:
                if (version := versions.get((pin.name, pin.marker), pin.version)) != pin.version:
                    raise MatrixError(
                        f"{self}, line {pin.line}: {pin.name} {pin.version} is not what {other} pins ({version}):"
                        " run `nox -s lock`"
                    )
        return pins


@dataclass(frozen=True)
class Build:
    """How a driver is built: the pins of what its build needs, and of what stands in for it if it cannot be built.

    `headers` is what the distribution calls its C library, `module` what it is imported as. `program` is what the
    build calls to find the C library, if it does not take flags from variables of its own; `flags` are more of the
    compiler's, in which `{include}` is the folder of Python's headers.
    """

    pins: Pins
    prebuilt: Pins | None
    headers: str
    module: str
    program: str | None = None
    flags: str = ""


def environments(root: Path = ROOT) -> dict[str, Pins]:
    """Return the pins of each environment by name: those of the dependency groups, then those of the drivers."""
    pyproject = root / "pyproject.toml"
    groups = _toml(pyproject, root).get("dependency-groups", {})
    found = {
        name: Pins(root / "requirements" / f"{name}.txt", pyproject, _group(groups, name), root) for name in groups
    }
    orms = _orms(root)
    for path in sorted(root.glob("drivers/*/driver.toml")):
        name = path.parent.name
        if name in found:
            raise MatrixError(f"{path.relative_to(root)}: `{name}` is a dependency group; name the folder otherwise")
        facts = _toml(path, root)
        served = [requirement for stack in facts.get("stacks", ()) for requirement in orms.get(stack, ())]
        requires = (*_requires(path, facts, root), *served)
        found[name] = Pins(path.with_name("requirements.txt"), path, requires, root, _build(path, facts, root))
    return found


def launchers(root: Path = ROOT) -> dict[str, Pins]:
    """Return the pins of each launcher that has any: of what it and the applications under it require.

    A launcher that is like another and requires the same has the other's pins, and is installed with them.
    """
    beside = tuple(one for one in environments(root).values() if one.source.name == "driver.toml")
    found = {}
    for path in sorted(root.glob("launchers/*/launcher.toml")):
        facts = _with_like(path, root)
        applications = [
            _with_like(root / "launchers" / "applications" / name / "application.toml", root)
            for name in facts.get("applications", ())
        ]
        requires = tuple(
            dict.fromkeys(
                requirement
                for one in (facts, *applications)
                if "requires" in one
                for requirement in _requires(path, one, root)
            )
        )
        if requires:
            tools = None
            if "build_requires" in facts:
                needed = _requires(path, facts, root, "build_requires")
                tools = Pins(path.with_name("requirements-build.txt"), path, needed, root)
            own = Pins(path.with_name("requirements.txt"), path, requires, root, tools=tools, beside=beside)
            found[path.parent.name] = own
    for name, pins in found.items():
        other = found.get(_toml(pins.source, root).get("like", ""))
        if other and other.requires == pins.requires:
            found[name] = other
    return found


def configurations(root: Path = ROOT) -> dict[str, Pins]:
    """Return the pins of each driver in each configuration, by `<driver>@<configuration>`.

    They are the driver's own if the configuration requires nothing else.
    """
    return {
        f"{driver}@{path.stem}": one
        for path in sorted(root.glob("versions/*.toml"))
        for driver, one in _configured(path, root).items()
    }


def newest(root: Path = ROOT) -> dict[str, Pins]:
    """Return the pins of each driver with the newest versions: `<driver>@newest` within its ranges, `@beyond` of all.

    They are not committed: `resolve` writes them, whenever they are asked for.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {}
    for driver, own in environments(root).items():
        if own.source.name == "driver.toml":
            for which, requires in (("newest", own.requires), ("beyond", tuple(map(_without_range, own.requires)))):
                path = root / ".nox" / "newest" / which / f"{driver}.txt"
                found[f"{driver}@{which}"] = replace(own, path=path, requires=requires, python=version)
    return found


def _without_range(text: str) -> str:
    """Return a requirement that any version satisfies."""
    requirement = Requirement(text)
    requirement.specifier = SpecifierSet()
    return str(requirement)


def resolve(one: Pins) -> None:
    """Write pins of the newest versions that satisfy the requirements of one environment."""
    text = HEADER.format(source=one.source.relative_to(one.root)) + _compile(one, "", "")
    _write(one.path, text)


def _write(path: Path, text: str) -> None:
    """Write a file of pins, whole or not at all."""
    path.parent.mkdir(exist_ok=True, parents=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def interpreter(name: str, root: Path = ROOT) -> str | None:
    """Return the version of Python that an environment of a configuration is for, None if it is for any."""
    path = root / "versions" / f"{name.partition('@')[2]}.toml"
    return _toml(path, root).get("python") if path.exists() else None


def unable(configuration: str, root: Path = ROOT) -> bool:
    """Whether nothing can be run in a configuration, as its file says."""
    path = root / "versions" / f"{configuration}.toml"
    return path.exists() and "unable" in _toml(path, root)


def _configured(path: Path, root: Path) -> dict[str, Pins]:
    """Return the pins of each driver in a configuration."""
    facts = _toml(path, root)
    known = environments(root)
    if "unable" in facts:
        facts = {key: value for key, value in facts.items() if key != "requires"}  # what is not installed has no pins
    orms = _orms(root)
    wanted = _requires(path, facts, root) if "requires" in facts else ()
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    found = {}
    for driver in facts.get("drivers") or [name for name, one in known.items() if one.source.name == "driver.toml"]:
        if driver not in known or known[driver].source.name != "driver.toml":
            raise MatrixError(f"{path.relative_to(root)}: there is no driver {driver!r}")
        own = _toml(known[driver].source, root)
        stacks = [stack for stack in own.get("stacks", ()) if stack in facts.get("stacks", own.get("stacks", ()))]
        if not stacks:
            continue
        replaced = names & {canonicalize_name(name) for name in own.get("distributions", ())}
        required = list(wanted) + ([] if replaced else list(own["requires"]))
        required += [
            text
            for stack in stacks
            for text in orms.get(stack, ())
            if canonicalize_name(Requirement(text).name) not in names
        ]
        # A driver that is built comes first, as in its own environment.
        if not replaced:
            required = [*own["requires"], *(text for text in required if text not in own["requires"])]
        build = known[driver].build
        if "build" in facts:
            build = _build(path, {"module": own["module"], **facts}, root, driver)
        elif build and replaced:  # what stands in for the pinned version is no other version
            build = replace(build, prebuilt=None)
        if wanted:
            listing = path.with_suffix("") / f"{driver}.txt"
            found[driver] = Pins(listing, path, tuple(required), root, build, python=facts.get("python"))
        else:
            found[driver] = known[driver]
    return found


def _with_like(path: Path, root: Path) -> dict[str, Any]:
    """Return the facts in a file, with those of the folder that it is `like` where it has none of its own."""
    facts = _toml(path, root)
    other = facts.get("like")
    return (_toml(path.parent.with_name(str(other)) / path.name, root) if other else {}) | facts


def files(root: Path = ROOT) -> list[Pins]:
    """Return every file of pins that there has to be; those that agree with others come after them."""
    found: list[Pins | None] = []
    for one in [*environments(root).values(), *configurations(root).values()]:
        found += [one, *([one.build.pins, one.build.prebuilt] if one.build else [])]
    for one in launchers(root).values():
        found += [one, one.tools]
    return list({one.path: one for one in found if one}.values())


def _build(path: Path, facts: dict[str, Any], root: Path, driver: str = "") -> Build | None:
    """Return how the driver of a `driver.toml`, or `driver` in a configuration, is built, None if it is not."""
    if "build" not in facts:
        return None
    table = facts["build"]
    build = path.with_suffix("") / f"{driver}-build.txt" if driver else path.with_name("requirements-build.txt")
    instead = table.get("without_compiler")
    return Build(
        pins=Pins(build, path, _requires(path, table, root), root, python=facts.get("python")),
        prebuilt=Pins(path.with_name("requirements-prebuilt.txt"), path, (str(instead),), root) if instead else None,
        headers=table["headers"],
        module=table.get("module", facts["module"]),
        program=table.get("program"),
        flags=table.get("flags", ""),
    )


def _orms(root: Path) -> dict[str, tuple[str, ...]]:
    """Return the requirements of each stack's ORM, by the stack's name."""
    stacks = [_toml(path, root) for path in sorted(root.glob("*/stack.toml"))]
    return {facts["name"]: tuple(facts.get("requires", ())) for facts in stacks}


def _requires(path: Path, facts: dict[str, Any], root: Path, key: str = "requires") -> tuple[str, ...]:
    """Return what a `driver.toml`, or its table about the build, requires."""
    try:
        return tuple(str(Requirement(text)) for text in facts[key])
    except KeyError:
        raise MatrixError(f"{path.relative_to(root)}: `{key}` is missing: the requirements to install") from None
    except (InvalidRequirement, TypeError) as error:
        raise MatrixError(f"{path.relative_to(root)}: `{key}`: {error}") from None


def _group(groups: dict[str, Any], name: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group and of those that it includes."""
    try:
        entries = groups[name]
    except KeyError:
        raise MatrixError(f"pyproject.toml has no dependency group {name!r}") from None
    found: list[str] = []
    for entry in entries:
        found += [entry] if isinstance(entry, str) else _group(groups, entry["include-group"])
    return tuple(found)


def _toml(path: Path, root: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MatrixError(f"{path.relative_to(root)}: {error}") from None


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run uv; raise MatrixError if there is none."""
    environ = {**UV, **os.environ}
    if "UV_NATIVE_TLS" in os.environ:  # an older name of the same
        environ.pop("UV_SYSTEM_CERTS")
    return subprocess.run(
        [_uv(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=environ
    )


def _uv() -> str:
    """Return the uv that is installed beside this Python, else the one on the PATH."""
    beside = str(Path(sys.executable).parent)
    program = shutil.which("uv", path=os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]))
    if program is None:
        raise MatrixError("uv is missing: `pip install --require-hashes -r requirements/nox.txt` brings it")
    return program


def complaint(stderr: str) -> str:
    """Return what uv gave as the reason, in one line."""
    lines = [re.sub(r"^[^\w`]+", "", line) for line in stderr.splitlines()]
    return " ".join(" ".join(line for line in lines if line and not line.startswith("warning:")).split())[:600]


def lock(root: Path = ROOT, *, upgrade: bool = False) -> list[Path]:
    """Write every file of pins; return those that changed.

    A version stays as it is pinned while it satisfies what is required, and what a new file needs is pinned as the
    other files have it, unless `upgrade` asks for the newest of all.
    """
    wanted = files(root)
    problems = []
    texts = {one.path: one.path.read_text(encoding="utf-8") for one in wanted if one.path.exists()}
    orms = [requirement for stack in _orms(root).values() for requirement in stack]
    changed = []
    for one in wanted:
        others = [f"{text}\n" for text in orms if canonicalize_name(Requirement(text).name) not in one.names]
        known = texts.get(one.path, "")
        seed = "" if upgrade else known + "".join(text for path, text in texts.items() if path != one.path)
        agreed = dict.fromkeys(pin.constraint for other in one.beside for pin in other.read())
        try:
            pinned = _compile(one, seed, "".join(others) + "\n".join(agreed))
        except MatrixError as error:
            if one.source.parent.name != "versions":
                raise
            problems.append(str(error))  # the other configurations go on
            continue
        text = HEADER.format(source=one.source.relative_to(root)) + pinned
        if text != known:
            _write(one.path, text)
            changed.append(one.path)
    if problems:
        raise MatrixError("\n".join(problems))
    return changed


def _compile(one: Pins, seed: str, constraints: str) -> str:
    """Return pins that satisfy the requirements of one environment, on any Linux and any Python that is supported."""
    oldest = one.python or _toml(one.root / "pyproject.toml", one.root)["project"]["requires-python"].removeprefix(">=")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "requirements.in").write_text("".join(f"{requirement}\n" for requirement in one.requires))
        (folder / "constraints.txt").write_text(constraints)
        (folder / "pins.txt").write_text(seed)  # uv prefers what is in its output file
        done = uv(
            *("pip", "compile", "--quiet", "--universal", "--python-version", oldest, "--generate-hashes"),
            *("--no-header", "--no-annotate", "--constraints", str(folder / "constraints.txt")),
            *("--output-file", str(folder / "pins.txt"), str(folder / "requirements.in")),
        )
        if done.returncode:
            raise MatrixError(f"{one} cannot be written: {complaint(done.stderr)}")
        return (folder / "pins.txt").read_text()


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m matrix.provision.pins", description="Check the pins.")
    commands = parser.add_subparsers(dest="command")
    writing = commands.add_parser("lock", help="write the pins; nox -s lock does this")
    writing.add_argument("--upgrade", action="store_true", help="to the newest versions within the ranges")
    options = parser.parse_args(None if arguments is None else list(arguments))
    try:
        if options.command == "lock":
            changed = lock(upgrade=options.upgrade)
            print("\n".join(str(path.relative_to(ROOT)) for path in changed) or "the pins are as they were")
        for one in files():
            one.check()
    except MatrixError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
