"""The environments: each holds its pins and nothing else, and is made once, with the system's certificates."""

from __future__ import annotations

import functools
import http.server
import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from matrix.errors import MatrixError
from matrix.provision import environment, pins
from tests.packages import pin, wheel_of

#: Where this system keeps the certificates that it trusts, as one file.
SYSTEM_STORE = Path("/etc/ssl/certs/ca-certificates.crt")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with a group and a driver, and an index that has what they require."""
    index = tmp_path / "index"
    index.mkdir()
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(index))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\nlint = ["some-linter"]\n')
    (tmp_path / "requirements").mkdir()
    pin(tmp_path / "requirements" / "lint.txt", "some-linter", wheel_of(index, "some-linter", {"linter.py": ""}))
    (tmp_path / "drivers" / "some").mkdir(parents=True)
    (tmp_path / "drivers" / "some" / "driver.toml").write_text('requires = ["some-driver"]\n')
    wheel = wheel_of(index, "some-driver", {"some.py": ""})
    pin(tmp_path / "drivers" / "some" / "requirements.txt", "some-driver", wheel)
    return tmp_path


def modules(python: Path) -> set[str]:
    """Return the modules that the project's packages brought into an environment."""
    found = python.parent.parent.glob("lib/python*/site-packages/*.py")
    return {path.stem for path in found if not path.stem.startswith("_")}


def test_an_environment_holds_its_pins_and_nothing_else(project: Path) -> None:
    assert modules(environment.environment("lint", project)) == {"linter"}
    assert modules(environment.environment("some", project)) == {"some"}


def test_an_environment_is_made_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = environment.environment("some", project)
    monkeypatch.setattr(pins, "uv", lambda *_: pytest.fail("uv is run"))
    assert environment.environment("some", project) == python


def test_other_pins_rebuild_it_without_what_was_there(project: Path) -> None:
    environment.environment("some", project)
    driver = project / "drivers" / "some"
    (driver / "driver.toml").write_text('requires = ["other-driver"]\n')
    wheel = wheel_of(project / "index", "other-driver", {"other.py": ""})
    pin(driver / "requirements.txt", "other-driver", wheel)
    assert modules(environment.environment("some", project)) == {"other"}


def test_another_python_rebuilds_it(project: Path) -> None:
    python = environment.environment("some", project)
    left = python.with_name("left")
    left.touch()
    environment.environment("some", project, os.path.realpath(sys.executable))
    assert left.exists(), "it is the same Python"
    environment.environment("some", project, f"{sys.version_info.major}.{sys.version_info.minor}")
    assert not left.exists()
    with pytest.raises(MatrixError, match=r"the environment some cannot be made: .*2\.6"):
        environment.environment("some", project, "2.6")


def test_an_environment_that_was_not_finished_is_rebuilt(project: Path) -> None:
    python = environment.environment("some", project)
    (python.parent.parent / environment.STAMP).unlink()
    (python.parent.parent / "half").touch()
    environment.environment("some", project)
    assert not (python.parent.parent / "half").exists()


def test_two_at_once_make_it_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    real = pins.uv

    def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
        made.append(arguments[0])
        return real(*arguments)

    monkeypatch.setattr(pins, "uv", uv)
    with ThreadPoolExecutor() as pool:
        pythons = list(pool.map(lambda _: environment.environment("some", project), range(4)))
    assert len(set(pythons)) == 1
    assert made == ["venv", "pip"]


def test_a_package_that_differs_from_its_hash_is_one_line(project: Path) -> None:
    wheel_of(project / "index", "some-driver", {"some.py": "tampered = True"})
    with pytest.raises(MatrixError) as caught:
        environment.environment("some", project)
    assert str(caught.value).startswith("the environment some cannot be made: ")
    assert "hash" in str(caught.value).lower()
    with pytest.raises(MatrixError):
        environment.environment("some", project)  # what is half made is not used


def test_a_dependency_without_a_pin_is_one_line(project: Path) -> None:
    wheel = wheel_of(project / "index", "some-driver", {"some.py": ""}, requires=["some-linter"])
    pin(project / "drivers" / "some" / "requirements.txt", "some-driver", wheel)
    with pytest.raises(MatrixError, match=r"the environment some cannot be made: .*some-linter"):
        environment.environment("some", project)


def test_a_bad_pin_is_found_before_anything_is_installed(project: Path) -> None:
    (project / "drivers" / "some" / "requirements.txt").write_text("some-driver==1.0\n")
    with pytest.raises(MatrixError, match=r"^drivers/some/requirements.txt, line 1: some-driver has no hash"):
        environment.environment("some", project)
    assert not (project / ".nox" / "environments" / "some").exists()


def test_a_range_that_the_pins_do_not_satisfy_is_found_although_the_environment_is_there(project: Path) -> None:
    environment.environment("some", project)
    (project / "drivers" / "some" / "driver.toml").write_text('requires = ["some-driver>=2"]\n')
    with pytest.raises(MatrixError, match=r"^drivers/some/requirements.txt, line 1: some-driver 1.0 is outside"):
        environment.environment("some", project)


def test_a_folder_that_cannot_be_made_is_one_line(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".nox").touch()
    monkeypatch.setattr(environment, "environment", functools.partial(environment.environment, root=project))
    assert environment.main(["some"]) == 2
    assert str(project / ".nox") in capsys.readouterr().err


def test_an_unknown_environment_is_one_line(project: Path) -> None:
    with pytest.raises(MatrixError, match=r"^there is no environment 'sone'; there are lint, some$"):
        environment.environment("sone", project)


def test_the_command_prints_each_python_as_json(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "environment", functools.partial(environment.environment, root=project))
    assert environment.main(["lint", "some"]) == 0
    folder = project / ".nox" / "environments"
    answer = json.loads(capsys.readouterr().out)
    assert answer == {name: str(folder / name / "bin" / "python") for name in ("lint", "some")}
    assert environment.main(["lint", "sone"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


# A driver that is built here, with a harness that builds nothing.


@pytest.fixture
def built(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the driver one that is built; return what the build answers, a file."""
    driver = project / "drivers" / "some"
    with (driver / "driver.toml").open("a") as file:
        file.write('module = "some"\n[build]\nheaders = "libsome"\nrequires = ["some-linter"]\n')
        file.write('without_compiler = "some-static"\n')
    shutil.copy(project / "requirements" / "lint.txt", driver / "requirements-build.txt")
    static = wheel_of(project / "index", "some-static", {"some.py": "static = True", "static.py": ""})
    pin(driver / "requirements-prebuilt.txt", "some-static", static)
    answer = project / "answer.json"
    wheel = wheel_of(project, "some-driver", {"some.py": "", "built.py": ""})
    answer.write_text(json.dumps({"wheel": str(wheel), "note": ""}))
    harness = project / "harness"
    harness.write_text(f'#!/bin/sh\necho "$@" > {project}/asked\ncat {answer}\n')
    harness.chmod(0o755)
    real = environment.environment
    monkeypatch.setattr(
        environment, "environment", lambda name, *rest: harness if name == "harness" else real(name, *rest)
    )
    return answer


def test_a_driver_that_is_built_is_installed_from_its_wheel(project: Path, built: Path) -> None:
    python = environment.environment("some", project)
    assert modules(python) == {"some", "built"}
    asked = (project / "asked").read_text()
    assert asked == f"-m matrix.provision.driver some --python {python} --root {project}\n"


def test_what_stands_in_for_it_is_said_each_time(
    project: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    built.write_text(json.dumps({"wheel": None, "note": "no compiler"}))
    for progress in ("making the environment some\n", ""):
        assert modules(environment.environment("some", project)) == {"some", "static"}
        assert capsys.readouterr().err == f"{progress}no compiler\n"


def test_what_stands_in_for_it_is_replaced_once_it_can_be_built(project: Path, built: Path) -> None:
    answer = built.read_text()
    built.write_text(json.dumps({"wheel": None, "note": "no compiler"}))
    environment.environment("some", project)
    built.write_text(answer)
    assert modules(environment.environment("some", project)) == {"some", "built"}


def test_a_driver_that_does_not_work_any_more_is_built_again(project: Path, built: Path) -> None:
    python = environment.environment("some", project)
    (module,) = python.parent.parent.glob("lib/python*/site-packages/some.py")
    module.unlink()  # uv's cache may share the file
    module.write_text("import gone\n")
    environment.environment("some", project)
    assert module.read_text() == ""


# An index behind a certificate authority that only this system knows.


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return authority


@pytest.fixture
def address(project: Path, authority: trustme.CA) -> Iterator[str]:
    """Serve the project's wheels over TLS, as a proxy with an authority of its own would; yield the index's address."""
    simple = project / "simple"
    for wheel in (project / "index").iterdir():
        name = wheel.name.partition("-")[0].replace("_", "-")
        (simple / name).mkdir(parents=True)
        shutil.copy(wheel, simple / name)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:  # to nowhere
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(simple)))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


MAKE = """
import pathlib, sys
from matrix.errors import MatrixError
from matrix.provision.environment import environment
try:
    print(environment("some", pathlib.Path(sys.argv[1])))
except MatrixError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(
    ("known", "variable", "trusted"), [(True, None, True), (False, None, False), (True, "0", False)]
)
def test_an_index_is_trusted_if_this_system_trusts_it(
    project: Path, address: str, monkeypatch: pytest.MonkeyPatch, known: bool, variable: str | None, trusted: bool
) -> None:
    """The authority is in the system's store, in a namespace where that store is another file; no variable names it."""
    if variable:
        monkeypatch.setenv("UV_SYSTEM_CERTS", variable)
    inside = ["unshare", "--user", "--map-root-user", "--mount"]
    if not (SYSTEM_STORE.exists() and shutil.which("unshare")) or subprocess.call([*inside, "true"]):
        pytest.skip("this system gives no namespace in which its certificates can be replaced")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    store = project / "authority.pem" if known else SYSTEM_STORE
    empty = project / "empty"
    empty.mkdir()
    script = 'cp "$1" "$2/ca-certificates.crt" && mount --bind "$2" "$3" && shift 3 && exec "$@"'
    done = subprocess.run(
        [*inside, "sh", "-c", script, "sh", store, empty, SYSTEM_STORE.parent, sys.executable, "-c", MAKE, project],
        cwd=pins.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if trusted:
        assert done.returncode == 0, done.stderr
        assert modules(Path(done.stdout.strip())) == {"some"}
    else:
        assert done.returncode
        assert "certificate" in done.stderr


# A launcher beside a driver.


@pytest.fixture
def launched(project: Path) -> Path:
    """Return the folder of a launcher that an application with requirements of its own runs under."""
    folder = project / "launchers" / "starter"
    folder.mkdir(parents=True)
    (folder / "launcher.toml").write_text('requires = ["some-launcher"]\n')
    pin(
        folder / "requirements.txt",
        "some-launcher",
        wheel_of(project / "index", "some-launcher", {"launcher.py": ""}),
    )
    return folder


def test_a_launcher_is_installed_beside_a_driver_and_not_in_the_drivers_own_environment(
    project: Path, launched: Path
) -> None:
    assert modules(environment.environment("some+starter", project)) == {"some", "launcher"}
    assert modules(environment.environment("some", project)) == {"some"}


def test_other_pins_of_a_launcher_rebuild_it(project: Path, launched: Path) -> None:
    environment.environment("some+starter", project)
    wheel = wheel_of(project / "index", "some-launcher", {"newer.py": ""})
    pin(launched / "requirements.txt", "some-launcher", wheel)
    assert modules(environment.environment("some+starter", project)) == {"some", "newer"}


def test_a_launcher_that_requires_nothing_has_the_drivers_environment(project: Path, launched: Path) -> None:
    (launched / "launcher.toml").write_text("")
    assert environment.environment("some+starter", project) == environment.environment("some", project)


def test_an_unknown_launcher_is_one_line(project: Path, launched: Path) -> None:
    with pytest.raises(MatrixError, match=r"^there is no environment 'some\+startet'; "):
        environment.environment("some+startet", project)


def test_a_launcher_like_another_is_installed_with_it(project: Path, launched: Path) -> None:
    like = launched.with_name("quick")
    like.mkdir()
    (like / "launcher.toml").write_text('like = "starter"\n')
    assert environment.environment("some+quick", project) == environment.environment("some+starter", project)


#: A launcher as source, and the backend that builds it.
SDIST = {
    "pyproject.toml": '[build-system]\nrequires = ["some-backend"]\nbuild-backend = "some_backend"\n',
    "PKG-INFO": "Metadata-Version: 2.1\nName: some-launcher\nVersion: 1.0\n",
}
BACKEND = """
import os, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "some_launcher-1.0-py3-none-any.whl"
    info = "some_launcher-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as archive:
        archive.writestr("launcher.py", "")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: some-launcher\\nVersion: 1.0\\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr(f"{info}/RECORD", f"{info}/RECORD,,\\n")
    return name
"""


@pytest.fixture
def compiled(project: Path, launched: Path) -> Path:
    """Return the folder of a launcher that comes as source, and is built with a backend that is pinned."""
    with (launched / "launcher.toml").open("a") as file:
        file.write('build_requires = ["some-backend"]\n')
    for wheel in (project / "index").glob("some_launcher*"):
        wheel.unlink()
    sdist = project / "index" / "some_launcher-1.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name, text in SDIST.items():
            item = tarfile.TarInfo(f"some_launcher-1.0/{name}")
            item.size = len(text)
            archive.addfile(item, io.BytesIO(text.encode()))
    pin(launched / "requirements.txt", "some-launcher", sdist)
    backend = wheel_of(project / "index", "some-backend", {"some_backend.py": BACKEND})
    pin(launched / "requirements-build.txt", "some-backend", backend)
    return launched


def test_a_launcher_is_compiled_with_what_is_pinned(project: Path, compiled: Path) -> None:
    assert modules(environment.environment("some+starter", project)) == {"some", "launcher"}


def test_what_a_launcher_is_compiled_with_may_not_differ_from_its_hash(project: Path, compiled: Path) -> None:
    pins_of_backend = compiled / "requirements-build.txt"
    text = pins_of_backend.read_text()
    pins_of_backend.write_text(text[: text.index("sha256:") + 7] + "0" * 64 + "\n")
    with pytest.raises(MatrixError, match="Hash mismatch for `some-backend") as caught:
        environment.environment("some+starter", project)
    assert "\n" not in str(caught.value)


def test_a_launcher_is_left_out_while_there_is_no_compiler(
    project: Path, compiled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    for _ in range(2):
        assert modules(environment.environment("some+starter", project)) == {"some"}
        line = capsys.readouterr().err.splitlines()[-1]
        assert line == "some-launcher is not installed beside some: there is no C compiler (no-such-compiler) here"
    monkeypatch.setenv("CC", "true")
    assert modules(environment.environment("some+starter", project)) == {"some", "launcher"}
