"""A driver without a wheel is built here: from pinned sources, into a wheel that depends on nothing but itself."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from matrix import servers
from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.provision import apt, cache, pins
from matrix.provision import driver as provision
from matrix.provision.driver import Provision
from tests.packages import pin, wheel_of

BUILT = [name for name, one in pins.environments().items() if one.build]

LOG_IN = """
import json, sys
import MySQLdb
to, account = json.loads(sys.argv[1]), json.loads(sys.argv[2])
seen = {}
for name, options in to.items():
    connection = MySQLdb.connect(**account, **options)
    cursor = connection.cursor()
    cursor.execute("SELECT connection_type FROM performance_schema.threads WHERE processlist_id = CONNECTION_ID()")
    seen[name] = cursor.fetchone()[0]
print(json.dumps(seen))
"""


#: An sdist of a driver whose build needs `some-backend`, which is a module of one file.
SDIST = {
    "some_driver-1.0/pyproject.toml": '[build-system]\nrequires = ["some-backend"]\nbuild-backend = "some_backend"\n',
    "some_driver-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: some-driver\nVersion: 1.0\n",
}
BACKEND = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "some_driver-1.0-py3-none-any.whl"
    info = "some_driver-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("some/__init__.py", "FLAGS = %r" % os.environ.get("SOME_DRIVER_CFLAGS"))
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: some-driver\\nVersion: 1.0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", f"{info}/RECORD,,\\n")
    return name
"""


def ask(driver: str, python: Path | str = sys.executable, **options: Any) -> Provision:
    with Watchdog() as watchdog:
        return provision.provision(driver, Path(python), lambda line: None, watchdog=watchdog, **options)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return the Python of an environment with nothing in it."""
    venv.create(tmp_path / "venv", symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


def install(python: Path, wheel: Path | None) -> None:
    assert wheel is not None
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with one driver that is built, and an index that has its sdist and what the build needs."""
    folder = tmp_path / "drivers" / "some"
    folder.mkdir(parents=True)
    (folder / "driver.toml").write_text(
        'requires = ["some-driver~=1.0"]\nmodule = "some"\n'
        '[build]\nheaders = "libnone"\nrequires = ["some-backend"]\nwithout_compiler = "some-static~=1.0"\n'
    )
    (tmp_path / "pyproject.toml").write_text("")
    index = tmp_path / "index"
    index.mkdir()
    with tarfile.open(index / "some_driver-1.0.tar.gz", "w:gz") as archive:
        for name, text in SDIST.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    backend = wheel_of(index, "some-backend", {"some_backend.py": BACKEND})
    pin(folder / "requirements.txt", "some-driver", index / "some_driver-1.0.tar.gz")
    pin(folder / "requirements-build.txt", "some-backend", backend)
    pin(folder / "requirements-prebuilt.txt", "some-static", backend)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").symlink_to("/bin/true")
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("SOME_DRIVER_CFLAGS", "-O2")
    monkeypatch.setenv("SOME_DRIVER_LDFLAGS", "")
    return tmp_path


def test_a_driver_that_is_not_built_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.main(["nothing"]) == 2
    printed = capsys.readouterr()
    problem = f"'nothing' is not a driver that is built here; these are: {', '.join(BUILT)}"
    assert (printed.out, printed.err) == (json.dumps({"problem": problem}) + "\n", "")


def test_a_python_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="is not a Python that runs"):
        ask(BUILT[0], tmp_path / "python")


def test_a_driver_is_built_from_its_pins(project: Path, environment: Path) -> None:
    done = ask("some", environment, root=project)
    assert done.note == ""
    install(environment, done.wheel)
    found = subprocess.run([environment, "-c", "import some; print(some.FLAGS)"], capture_output=True, check=True)
    assert found.stdout == b"-O2\n"
    assert done.wheel is not None
    assert {path.name for path in done.wheel.parent.iterdir()} == {done.wheel.name, cache.MANIFEST}


@pytest.mark.parametrize("archive", ["some_driver-1.0.tar.gz", "some_backend-1.0-py3-none-any.whl"])
def test_neither_the_sdist_nor_what_the_build_needs_may_differ_from_its_hash(
    project: Path, environment: Path, archive: str
) -> None:
    with (project / "index" / archive).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(MissingError, match=r"some-driver cannot be built: .*HASHES"):
        ask("some", environment, root=project)
    assert not list((project / "cache").glob("some*"))


def test_a_build_that_needs_what_is_not_pinned_fails(project: Path, environment: Path) -> None:
    (project / "drivers" / "some" / "requirements-build.txt").write_text("")
    with pytest.raises(MatrixError, match=r"requirements-build\.txt has no pin of some-backend"):
        ask("some", environment, root=project)


def test_what_the_compiler_complains_of_is_one_line(project: Path, environment: Path) -> None:
    backend = (
        "def build_wheel(*_, **__):\n    print('some.c:1:2: fatal error: some.h: none')\n    raise SystemExit(1)\n"
    )
    wheel = wheel_of(project / "index", "some-backend", {"some_backend.py": backend})
    pin(project / "drivers" / "some" / "requirements-build.txt", "some-backend", wheel)
    with pytest.raises(MissingError) as caught:
        ask("some", environment, root=project)
    assert str(caught.value) == "some-driver cannot be built: some.c:1:2: fatal error: some.h: none"


def test_other_pins_make_another_wheel(project: Path, environment: Path) -> None:
    first = ask("some", environment, root=project).wheel
    assert ask("some", environment, root=project).wheel == first
    backend = wheel_of(project / "index", "some-backend", {"some_backend.py": BACKEND, "more.py": ""})
    pin(project / "drivers" / "some" / "requirements-build.txt", "some-backend", backend)
    assert ask("some", environment, root=project).wheel != first


def test_a_cached_wheel_that_does_not_work_any_more_is_made_again(project: Path, environment: Path) -> None:
    wheel = ask("some", environment, root=project).wheel
    assert wheel is not None

    def fill(folder: Path) -> None:
        wheel_of(folder, "some-driver", {"some/__init__.py": "import gone"})

    cache.discard(wheel.parent.name)
    cache.entry(wheel.parent.name, fill)
    assert ask("some", environment, root=project).wheel == wheel
    install(environment, wheel)
    subprocess.run([environment, "-c", "import some"], check=True)


@pytest.mark.parametrize("lack", ["compiler", "python headers", "apt"])
def test_if_nothing_can_be_built_the_note_says_what_stands_in(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, lack: str
) -> None:
    monkeypatch.delenv("SOME_DRIVER_CFLAGS")
    monkeypatch.setattr(provision, "_pkg_config_names", lambda library: [])
    monkeypatch.setattr(provision, "CONFIG_PROGRAMS", ())
    match lack:
        case "compiler":
            monkeypatch.setenv("CC", "no-such-cc")
        case "python headers":
            questions = provision.QUESTIONS.replace('sysconfig.get_path("include")', '"/no/such/folder"')
            monkeypatch.setattr(provision, "QUESTIONS", questions)
        case "apt":
            monkeypatch.setattr(apt, "TOOLS", ("no-such-apt",))
    done = ask("some", environment, root=project)
    assert done.wheel is None
    assert done.note.startswith("some-static (prebuilt, with a C library of its own) stands in for some-driver: ")


@pytest.mark.parametrize("program", ["pkg-config libnone", "none_config", ""])
def test_the_systems_headers_are_used_if_there_are_any(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    built: list[dict[str, str]] = []

    def build(self: object, folder: Path, variables: dict[str, str]) -> None:  # a method's signature
        built.append(variables)
        wheel_of(folder, "some-driver", {"some/__init__.py": ""})

    monkeypatch.setattr(provision, "CONFIG_PROGRAMS", ("none_config",))
    monkeypatch.setattr(provision._Builder, "_pip_wheel", build)
    monkeypatch.setenv("PATH", str(project / "bin"))
    if program:
        monkeypatch.delenv("SOME_DRIVER_CFLAGS")
        name, *first = program.split()
        (project / "bin" / name).write_text('#!/bin/sh\necho "found $*"\n')
        (project / "bin" / name).chmod(0o755)
        words = " ".join(["found", *first])
    else:
        monkeypatch.setenv("SOME_DRIVER_CFLAGS", "found --cflags")
        monkeypatch.setenv("SOME_DRIVER_LDFLAGS", "found --libs")
        words = "found"
    assert ask("some", environment, root=project).note == ""
    assert built == [{"SOME_DRIVER_CFLAGS": f"{words} --cflags", "SOME_DRIVER_LDFLAGS": f"{words} --libs"}]


# The real ones.


@pytest.mark.parametrize("driver", BUILT)
def test_a_built_driver_needs_nothing_but_its_wheel(driver: str, environment: Path) -> None:
    done = ask(driver, environment)
    assert done.note == ""
    install(environment, done.wheel)

    (module,) = environment.parent.parent.glob("lib/python*/site-packages/MySQLdb/_mysql*.so")
    linked = subprocess.run(["ldd", module], capture_output=True, text=True, check=True).stdout
    assert "not found" not in linked
    assert str(cache.folder()) not in linked

    with servers.running(["mariadb"], report=lambda line: None) as found:
        server = found["mariadb"]
        if isinstance(server, servers.Unavailable):
            pytest.skip(server.reason)
        to = {
            "tcp": {"host": server.host, "port": server.port},
            "tls": {"host": server.host, "port": server.port, "ssl": {"ca": server.ca}},
            "unix": {"unix_socket": server.socket},
        }
        account = {"user": server.user, "password": server.password}
        said = subprocess.run(
            [environment, "-c", LOG_IN, json.dumps(to), json.dumps(account)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert said.stderr == ""
        assert json.loads(said.stdout) == {"tcp": "TCP/IP", "tls": "SSL/TLS", "unix": "Socket"}


@pytest.mark.parametrize("driver", BUILT)
def test_the_wheels_record_is_right(driver: str, environment: Path) -> None:
    wheel = ask(driver, environment).wheel
    assert wheel is not None
    with zipfile.ZipFile(wheel) as archive:
        (record,) = (name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
        rows = {path: (digest, size) for path, digest, size in csv.reader(io.StringIO(archive.read(record).decode()))}
        assert rows.keys() == set(archive.namelist())
        for path, (digest, size) in rows.items():
            if path != record:
                content = archive.read(path)
                right = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={right}", str(len(content)))


@pytest.mark.skipif(not shutil.which("apt-get"), reason="the distribution's packages come by apt-get")
def test_the_answer_is_one_json_object(capfd: pytest.CaptureFixture[str], environment: Path) -> None:
    assert provision.main([BUILT[0], "--python", str(environment)]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert answer.keys() == {"wheel", "note"}
    assert Path(answer["wheel"]).exists()
