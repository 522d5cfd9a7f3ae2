"""The environments: each holds its pins and nothing else; `python -m matrix.provision.environment NAME...`.

An environment is made in `.nox/environments/<name>` when it is first asked for, from the pins that `pins.py` names,
with their hashes required. It is used again until its pins or its Python change, and is then rebuilt.
`<driver>+<launcher>` is a driver's environment with a launcher in it, or that of the driver if it requires nothing.
A launcher that has to be compiled is left out, with a note, if there is no compiler.
`<driver>@<configuration>` is the environment of a driver in a configuration, `@<configuration>` all of those; `@newest`
and `@beyond` have the newest versions that there are, within the ranges and of all.

Prints one JSON object: the path of each environment's Python, by name. Progress, and what stands in for a driver that
cannot be built, go to standard error. Exit status 2, and one line, where an environment cannot be made. If it is one of
a configuration, the others are made all the same, and the object says `{"missing": WHY}` of this one.

Needs nothing but `packaging` and uv, as `pins.py` does; drivers are built by the harness, in its own environment.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MatrixError
from matrix.provision import pins

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.provision.pins import Pins

HARNESS = "harness"
STAMP = "made-from.json"  # in an environment: what it was made from, and what there is to say about it


def environment(name: str, root: Path = pins.ROOT, interpreter: str = sys.executable) -> Path:
    """Return the Python of an environment, which is made now if it is missing or was made from something else.

    `interpreter` is the Python to make it from, a path or what uv takes for one, such as `3.13`.
    """
    known = pins.environments(root) | (pins.newest(root) | pins.configurations(root) if "@" in name else {})
    base, plus, launcher = name.partition("+")
    made_with = _interpreter(name, root) or interpreter
    if base not in known or (plus and not (root / "launchers" / launcher / "launcher.toml").exists()):
        raise MatrixError(f"there is no environment {name!r}; there are {', '.join(known)}")
    wanted, added = known[base], pins.launchers(root).get(launcher)
    if plus and added is None:
        return environment(base, root, interpreter)  # this launcher requires nothing
    if wanted.path.is_relative_to(root / ".nox"):  # of the newest versions
        pins.resolve(wanted)
    wanted.check()
    if added:
        added.check()
        name = f"{base}+{added.path.parent.name}"
    folder = root / ".nox" / "environments" / name
    python = folder / "bin" / "python"
    with _locked(folder):
        made_from = _digest(wanted, made_with, added)
        note = _note(folder, made_from) if python.exists() and _imports(python, wanted) else None
        if note and wanted.build and _build(base, python, root, interpreter)[0]:
            note = None  # what was missing for the build is here now
        if note and added and added.tools and not _obstacle(added, python):
            note = None
        if note is None:
            note = _make(folder, name, wanted, made_with, added, harness_with=interpreter)
            (folder / STAMP).write_text(json.dumps({"from": made_from, "note": note}))
    if note:
        print(note, file=sys.stderr, flush=True)
    return python


def _interpreter(name: str, root: Path) -> str | None:
    """Return the Python of a configuration that needs a certain one, None for any other environment."""
    version = pins.interpreter(name, root)
    if version is None:
        return None
    found = pins.uv("python", "find", "--no-project", "--system", version)
    if found.returncode == 0:
        return found.stdout.strip()
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for python in sorted(kept.glob(f"{version}.*/bin/python"), reverse=True):
        return str(python)
    raise MatrixError(f"there is no Python {version} here")


def _make(folder: Path, name: str, wanted: Pins, interpreter: str, added: Pins | None, *, harness_with: str) -> str:
    """Rebuild an environment; return what there is to say about it, or nothing.

    `harness_with` is the Python of the harness, which builds drivers, and may be another one.
    """
    requirements = [pin.text for pin in wanted.read()]
    base = name.partition("+")[0]
    print(f"making the environment {name}", file=sys.stderr, flush=True)
    _uv(name, "venv", "--quiet", "--no-project", "--clear", "--python", interpreter, str(folder))
    python = folder / "bin" / "python"
    note = ""
    if wanted.build:
        own = wanted.names[0]
        requirements = [pin.text for pin in wanted.read() if pin.name != own]
        wheel, note = _build(base, python, wanted.root, harness_with)
        if wheel:
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            requirements.append(f"{own} @ {wheel.as_uri()} --hash=sha256:{digest}")
        else:
            assert wanted.build.prebuilt
            requirements += [pin.text for pin in wanted.build.prebuilt.check()]
    _install(folder, name, requirements)
    if added and (obstacle := _obstacle(added, python)):
        return "\n".join(filter(None, [note, f"{added.names[0]} is not installed beside {base}: {obstacle}"]))
    if added:
        _install(folder, name, [pin.text for pin in added.read()], added.tools)
    return note


def _install(folder: Path, name: str, requirements: list[str], tools: Pins | None = None) -> None:
    """Install requirements; what is compiled is compiled with `tools`, in versions and with hashes that are pinned."""
    listing, constraints = folder / "requirements.txt", folder / "constraints.txt"
    listing.write_text("\n".join(requirements) + "\n")
    constraints.write_text("".join(f"{pin.text}\n" for pin in tools.check()) if tools else "")
    python = str(folder / "bin" / "python")
    _uv(
        name,
        *("pip", "install", "--quiet", "--require-hashes", "--build-constraints", str(constraints)),
        *("--python", python, "--requirement", str(listing)),
    )


def _obstacle(launcher: Pins, python: Path) -> str:
    """Return why a launcher cannot be compiled for a Python, or nothing if it can or need not."""
    if launcher.tools is None:
        return ""
    question = "import os, sysconfig; print(os.environ.get('CC') or sysconfig.get_config_var('CC') or 'cc')"
    answer = subprocess.run([python, "-c", question], stdout=subprocess.PIPE, text=True, check=False).stdout.split()
    return "" if answer and shutil.which(answer[0]) else f"there is no C compiler ({(answer or ['cc'])[0]}) here"


def _build(driver: str, python: Path, root: Path, interpreter: str) -> tuple[Path | None, str]:
    """Return the wheel of a driver that is built here, or None and why there is none."""
    harness = environment(HARNESS, root, interpreter)
    command: list[str | Path] = [harness, "-m", "matrix.provision.driver", driver, "--python", python, "--root", root]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=pins.ROOT)
    if done.returncode:
        raise MatrixError(json.loads(done.stdout)["problem"] if done.stdout else f"{driver} cannot be built")
    answer = json.loads(done.stdout)
    return Path(answer["wheel"]) if answer["wheel"] else None, answer["note"]


def _imports(python: Path, wanted: Pins) -> bool:
    """Whether a driver that was built here still works: what it is linked to may have gone."""
    if wanted.build is None:
        return True
    return not subprocess.run(
        [python, "-c", f"import {wanted.build.module}"], capture_output=True, check=False
    ).returncode


def _digest(wanted: Pins, interpreter: str, added: Pins | None) -> str:
    """Return a digest of what an environment is made from."""
    sources = [
        wanted,
        *([wanted.build.pins, wanted.build.prebuilt] if wanted.build else []),
        *([added] if added else []),
        *([added.tools] if added and added.tools else []),
    ]
    texts = [one.path.read_text(encoding="utf-8") for one in sources if one and one.path.exists()]
    if wanted.build:  # how it is built
        texts.append(Path(__file__).with_name("driver.py").read_text(encoding="utf-8"))
    return hashlib.sha256("\0".join([os.path.realpath(interpreter), *texts]).encode()).hexdigest()


def _note(folder: Path, made_from: str) -> str | None:
    """Return what there is to say about an environment; None if it is missing or was made from something else."""
    try:
        stamp = json.loads((folder / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return str(stamp["note"]) if stamp["from"] == made_from else None


def _uv(name: str, *arguments: str) -> None:
    done = pins.uv(*arguments)
    if done.returncode:
        raise MatrixError(f"the environment {name} cannot be made: {pins.complaint(done.stderr)}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time make an environment."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back by the kernel, however this process ends
        yield


def _expand(name: str) -> list[str]:
    """Return the names of a configuration's environments for `@<configuration>`, any other name as it is."""
    if not name.startswith("@"):
        return [name]
    known = pins.configurations() | pins.newest()
    found = [each for each in known if each.endswith(name)]
    if pins.unable(name[1:]):
        return []
    if not found:
        there = ", ".join(dict.fromkeys(each.partition("@")[2] for each in known))
        raise MatrixError(f"there is no configuration {name[1:]!r}; there are {there}")
    return found


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m matrix.provision.environment", description="Make environments.")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a dependency group, a driver, or <driver>+<launcher>")
    parser.add_argument("--interpreter", default=sys.executable, metavar="PYTHON", help="make them from this Python")
    options = parser.parse_args(None if arguments is None else list(arguments))
    try:
        names = [each for name in options.names for each in _expand(name)]
    except MatrixError as error:
        print(error, file=sys.stderr)
        return 2
    made: dict[str, str | dict[str, str]] = {}
    status = 0
    for name in names:
        try:
            made[name] = str(environment(name, interpreter=options.interpreter))
        except (MatrixError, OSError) as error:
            print(error, file=sys.stderr, flush=True)
            if "@" not in name:
                return 2
            made[name], status = {"missing": str(error)}, 2
    print(json.dumps(made))
    return status


if __name__ == "__main__":
    sys.exit(main())
