"""What is installed for a driver: its group, or a wheel built here that depends on nothing but itself."""

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
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

from matrix import servers
from matrix.errors import MatrixError, MissingError
from matrix.process.watchdog import Watchdog
from matrix.provision import apt, cache, pip
from matrix.provision import driver as provision
from matrix.provision.driver import Provision

ROOT = Path(__file__).resolve().parent.parent
BUILT = [path.parent.name for path in ROOT.glob("drivers/*/driver.toml") if "\n[build]\n" in path.read_text()]

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


STAND_IN = {
    "some/__init__.py": "",
    "some_static-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: some-static\nVersion: 1.0\n",
    "some_static-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "some_static-1.0.dist-info/RECORD": "some_static-1.0.dist-info/RECORD,,\n",
}


def stand_in(folder: Path) -> Path:
    """Write a wheel with a module that can be imported, and nothing else."""
    wheel = folder / "some_static-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in STAND_IN.items():
            archive.writestr(name, text)
    return wheel


def ask(driver: str, python: Path | str = sys.executable, **options: Any) -> Provision:
    with Watchdog() as watchdog:
        return provision.provision(driver, Path(python), lambda line: None, watchdog=watchdog, **options)


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return the Python of an environment with nothing in it."""
    venv.create(tmp_path / "venv", symlinks=True)
    return tmp_path / "venv" / "bin" / "python"


def install(python: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *arguments]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PIP_NO_INDEX": "1"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with one driver that is built."""
    (tmp_path / "drivers" / "some").mkdir(parents=True)
    (tmp_path / "drivers" / "some" / "driver.toml").write_text(
        'distributions = ["some-driver"]\nmodule = "some"\n'
        '[build]\nheaders = "libnone"\nwithout_compiler = "some-static"\n'
    )
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\nsome = ["some-driver~=1.0"]\n')
    return tmp_path


def test_most_drivers_are_their_group() -> None:
    assert ask("psycopg").install[0].startswith("psycopg[binary")
    assert ask("psycopg").note == ""


def test_an_unknown_driver_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.main(["nothing"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "psycopg" in said.err


def test_groups_may_include_groups() -> None:
    pyproject = {"dependency-groups": {"a": ["x", {"include-group": "b"}], "b": ["y"]}}
    assert provision.requirements(pyproject, "a") == ["x", "y"]
    with pytest.raises(MatrixError, match="no dependency group 'c'"):
        provision.requirements(pyproject, "c")


def test_a_python_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MatrixError, match="is not a Python that runs"):
        ask(BUILT[0], tmp_path / "python")


def test_a_driver_without_compiler_and_network_is_one_line(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> Path:
        raise MissingError("the package index cannot be reached")

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "no-such-cc")
    monkeypatch.setattr(pip, "download", offline)
    with pytest.raises(MissingError) as caught:
        ask("some", environment, root=project)
    assert str(caught.value) == (
        "some-driver cannot be had here: there is no C compiler (no-such-cc) here; "
        "and the package index cannot be reached"
    )
    assert not [path for path in (tmp_path / "cache").iterdir() if not path.name.endswith(".lock")]


@pytest.mark.parametrize("lack", ["compiler", "python headers", "apt"])
def test_where_nothing_can_be_built_a_prebuilt_wheel_stands_in_and_says_so(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lack: str
) -> None:
    def download(requirement: str, folder: Path, **_: object) -> Path:  # as the real one's
        folder.mkdir()
        return stand_in(folder)

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(pip, "download", download)
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
    assert "some-static" in done.note
    assert "stands in for some-driver" in done.note
    install(environment, done.install)
    again = ask("some", environment, root=project)
    assert again == Provision(["some-static"], done.note)


# The real ones.


@pytest.mark.parametrize("driver", BUILT)
def test_a_built_driver_needs_nothing_but_its_wheel(
    driver: str, environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = ask(driver, environment)
    assert done.note == ""
    install(environment, done.install)
    met = ask(driver, environment).install
    assert len(met) == 1, "it is there and works"
    install(environment, met)  # without an index, which is not needed
    with monkeypatch.context() as patch:
        patch.setenv(cache.VARIABLE, str(tmp_path / "emptied"))
        assert ask(driver, environment).install == met, "it depends on no cache"

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


@pytest.mark.parametrize("program", ["pkg-config libnone", "none_config", ""])
def test_the_systems_headers_are_used_where_there_are_any(
    project: Path, environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    built: list[dict[str, str]] = []

    def build(self: object, folder: Path, variables: dict[str, str]) -> None:  # a method's signature
        built.append(variables)
        stand_in(folder)

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(provision, "CONFIG_PROGRAMS", ("none_config",))
    monkeypatch.setattr(provision._Builder, "_pip_wheel", build)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").symlink_to("/bin/true")
    monkeypatch.setenv("CC", "cc")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if program:
        name, *first = program.split()
        script = '#!/bin/sh\necho "found $*"\n'
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
        words = " ".join(["found", *first])
    else:
        monkeypatch.setenv("SOME_DRIVER_CFLAGS", "found --cflags")
        monkeypatch.setenv("SOME_DRIVER_LDFLAGS", "found --libs")
        words = "found"
    done = ask("some", environment, root=project)
    assert done.note == ""
    assert built == [{"SOME_DRIVER_CFLAGS": f"{words} --cflags", "SOME_DRIVER_LDFLAGS": f"{words} --libs"}]


@pytest.mark.parametrize("driver", BUILT)
def test_a_damaged_installation_is_replaced(driver: str, environment: Path) -> None:
    done = ask(driver, environment)
    install(environment, done.install)
    (module,) = environment.parent.parent.glob("lib/python*/site-packages/MySQLdb/_mysql*.so")
    module.write_bytes(module.read_bytes()[:1000])
    again = ask(driver, environment)
    assert again.install == done.install
    install(environment, again.install)
    assert len(ask(driver, environment).install) == 1


@pytest.mark.parametrize("driver", BUILT)
def test_the_wheels_record_is_right(driver: str, environment: Path) -> None:
    wheel = ask(driver, environment).install[-1]
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
    assert answer.keys() == {"install", "note"}
    assert Path(answer["install"][-1]).exists()
