"""Real servers: how they are found, reached, looked at, and that nothing of them outlives the run."""

from __future__ import annotations

import contextlib
import errno
import functools
import gc
import hashlib
import json
import os
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
import pymysql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from matrix import files, servers
from matrix.errors import MatrixError, MissingError
from matrix.process import watchdog
from matrix.provision import apt, cache, pip
from matrix.records.server import LogLine
from matrix.run.cell import database_name
from matrix.servers import Observer, Server, Unavailable, __main__, certificates, own, private, process, products

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = servers.default_names()
# A server that `nox -s matrix` does without is not fetched for the tests, and tested if it is here.
EVERY = tuple(
    name
    for name, known in products.known().items()
    if not known.product.facts.optional or "to be fetched" not in __main__.origin(known)
)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, Server | Unavailable]]:
    with servers.running(EVERY, report=quiet) as found:
        yield found


@pytest.fixture(params=EVERY)
def server(request: pytest.FixtureRequest, started: dict[str, Server | Unavailable]) -> Server:
    found = started[request.param]
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


@pytest.fixture
def observer(server: Server) -> Iterator[Observer]:
    observer = servers.observer(server)
    yield observer
    observer.close()


@pytest.fixture
def database(observer: Observer, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    observer.create_database(name)
    yield name
    observer.drop_database(name)


def log_in(server: Server, database: str, transport: str = "tcp", password: str | None = None) -> Any:
    """Connect as a user's program would, over one transport."""
    options: dict[str, Any] = {"user": server.user, "password": server.password if password is None else password}
    if server.protocol == "mysql":
        options |= {"ssl": {"ca": server.ca}} if transport == "tls" else {"ssl_disabled": True}
        options |= {"unix_socket": server.socket} if transport == "unix" else {"host": server.host, "port": server.port}
        return pymysql.connect(**options, database=database)
    options |= {"host": server.socket if transport == "unix" else server.host, "port": server.port}
    options |= {"sslmode": "verify-full", "sslrootcert": server.ca} if transport == "tls" else {"sslmode": "disable"}
    return psycopg.connect(**options, dbname=database)


def session_id(connection: Any) -> int:
    """Return the session's id as its client knows it."""
    number: int = connection.info.backend_pid if hasattr(connection, "info") else connection.thread_id()
    return number


def eventually(true: Callable[[], object], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def commands() -> dict[int, bytes]:
    """Return every process's command line."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            found[int(path.name)] = (path / "cmdline").read_bytes()
    return found


def processes(server: Server) -> list[int]:
    """Return the main process of a server, found by its port."""
    option = f"--port={server.port}".encode()
    return [number for number, command in commands().items() if option in command.split(b"\0")]


# Finding them.


def test_every_file_of_a_version_is_a_server() -> None:
    folder = ROOT / "matrix" / "servers"
    for path in folder.glob("*/versions/*.toml"):
        name = path.parent.parent.name + path.stem
        assert servers.product_of(name) == path.parent.parent.name
        assert servers.series_of(name) == path.stem
        assert servers.title(name).endswith(f" {path.stem}")
    for name in DEFAULT:
        assert (folder / name / "product.toml").is_file()
        assert servers.product_of(name) == name
        assert servers.series_of(name) is None


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("oracle", r"'oracle'\. There are mariadb, "),
        ("postgresql1", "did you mean postgresql1"),
        ("mariabd", "mean mariadb"),
    ],
)
def test_an_unknown_server_is_one_line_with_the_nearest_name(name: str, hint: str) -> None:
    with pytest.raises(MatrixError, match=hint) as caught, servers.running([name]):
        pass
    assert "\n" not in str(caught.value)


def write_product(folder: Path, **versions: str) -> None:
    """Write a made-up product with some versions."""
    (folder / "made" / "versions").mkdir(parents=True)
    (folder / "made" / "product.toml").write_text(
        'title = "Made"\nprotocol = "made"\nschemes = ["made"]\nport = 1\ninstall = "made"\ndefault = "2"\n'
        '[package]\nname = "made-{series}"\nany = "made"\nprogram = "made"\n'
    )
    for series, text in versions.items():
        (folder / "made" / "versions" / f"{series[1:]}.toml").write_text(text)


def test_a_product_is_a_folder_and_a_version_a_file(tmp_path: Path) -> None:
    write_product(
        tmp_path, v2='[suites]\ndebian = "any"', v10='[suites]\ndebian = "any"', v9='[suites]\ndebian = "any"'
    )
    assert list(products.known(tmp_path)) == ["made", "made2", "made9", "made10"]
    assert products.find("made9", tmp_path).title == "Made 9"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "neither a `wheel` nor"),
        ("[wheel]", "requirement"),
        ('[wheel]\nrequirement = "x>=1"\nhashes = []', "line 1: wheel"),
        ('[wheel]\nrequirement = "x==1"\nhashes = []', "hashes"),
        ('[wheel]\nrequirement = "x==1"\nhashes = ["md5:0"]', "hashes"),
        ('[sweets]\ndebian = "any"', "sweets"),
    ],
)
def test_a_malformed_version_is_one_line_with_its_file(tmp_path: Path, text: str, problem: str) -> None:
    write_product(tmp_path, v2=text)
    with pytest.raises(MatrixError, match=r"made/versions/2\.toml") as caught:
        products.known(tmp_path)
    assert problem in str(caught.value)


def test_a_default_without_a_file_is_one_line(tmp_path: Path) -> None:
    write_product(tmp_path, v3='[suites]\ndebian = "any"')
    with pytest.raises(MatrixError, match=r"made/product.toml: default: there is no versions/2.toml"):
        products.known(tmp_path)


def test_facts_are_known_without_importing_a_driver_or_starting_anything() -> None:
    code = "import sys; from matrix import servers; servers.names(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"psycopg", "pymysql", "psutil", "trustme", "subprocess"} & set(done.stdout.split())


def test_a_wrong_choice_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_SERVERS", "docker")
    with pytest.raises(MatrixError, match="machine or fetched"), servers.running(DEFAULT):
        pass


def test_binaries_that_do_not_run_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb", "mariadbd"):
        (tmp_path / name).write_text("#!/bin/sh\necho something else entirely\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert next(servers.code("postgresql").installed()) == tmp_path / "postgres"
    assert next(servers.code("mariadb").installed()) == tmp_path / "mariadbd"
    said: list[str] = []
    with servers.running(DEFAULT, report=said.append) as found:
        for name, server in found.items():
            assert isinstance(server, Server), (name, server)
            assert any(line.startswith(f"{name} is ") and server.version in line for line in said)


def test_what_cannot_be_had_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_SERVERS", "machine")
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in DEFAULT:
        monkeypatch.setattr(servers.code(name), "FOLDERS", ())
    with servers.running(EVERY, report=quiet) as found:
        for name, server in found.items():
            assert isinstance(server, Unavailable)
            assert servers.title(name) in server.reason
            assert (f"MATRIX_{name.upper()}_URL" in server.reason) == (servers.series_of(name) is None)
            assert "install" in server.reason
            assert "\n" not in server.reason


def test_a_user_without_a_name_is_told_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number alone; ``initdb`` refuses, whosever it is."""

    def no_user(uid: int) -> object:
        raise KeyError(uid)

    if not list(servers.code("postgresql").installed()):
        pytest.skip("no PostgreSQL is installed")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))  # no template of an earlier run
    monkeypatch.setattr(pwd, "getpwuid", no_user)
    with servers.running(["postgresql"], report=quiet) as found:
        server = found["postgresql"]
        assert isinstance(server, Unavailable)
        assert server.reason.count(f"none for user id {os.geteuid()}") == 1
        assert "MATRIX_POSTGRESQL_URL" in server.reason


def test_without_network_the_reason_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setenv("MATRIX_SERVERS", "fetched")
    monkeypatch.setattr(apt, "TOOLS", ("no-such-apt",))
    nowhere = "http://127.0.0.1:9"
    for name in ("PIP_INDEX_URL", "PIP_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, nowhere)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with servers.running(["postgresql"], report=quiet) as found:
        server = found["postgresql"]
        assert isinstance(server, Unavailable)
        assert "cannot be reached" in server.reason
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")]


def test_a_cache_that_cannot_be_used_costs_the_machines_servers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file"))
    monkeypatch.setenv("MATRIX_SERVERS", "machine")
    with servers.running(["postgresql"], report=quiet) as found:
        server = found["postgresql"]
        if isinstance(server, Unavailable):
            pytest.skip(server.reason)
        log_in(server, "postgres").close()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    monkeypatch.setattr(files, "SOCKET_PATH", 500)
    monkeypatch.setattr(cache, "open_to_all", lambda path: True)
    with pytest.raises(MatrixError, match="set TMPDIR") as caught, servers.running(DEFAULT):
        pass
    assert "\n" not in str(caught.value)


def test_a_full_disk_makes_a_server_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("MATRIX_SERVERS", "machine")
    monkeypatch.setattr(cache, "copy", full)
    with servers.running(["postgresql"], report=quiet) as found:
        server = found["postgresql"]
        assert isinstance(server, Unavailable)
        assert "No space left on device" in server.reason or not list(servers.code("postgresql").installed())


START = """
import os, sys
os.umask(int(sys.argv[1], 8))
from matrix import servers
with servers.running(sys.argv[2:]) as found:
    for name, server in found.items():
        if isinstance(server, servers.Unavailable):
            sys.exit(server.reason)
        observer = servers.observer(server)
        observer.create_database("any")
        observer.close()
        print(name, server.log.stat().st_mode & 0o777, flush=True)
"""


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("umask", ["0", "077"])
def test_the_umask_decides_nothing(umask: str, open_folder: Path) -> None:
    """As root a closed one would keep what is fetched and copied from the servers' user."""
    environ = {**os.environ, cache.VARIABLE: f"{open_folder}/new/cache", "MATRIX_SERVERS": "fetched"}
    command = [sys.executable, "-c", START, umask, *DEFAULT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environ, check=False)
    if "cannot be reached" in done.stderr:
        pytest.skip("there is no network")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} {0o600}" for name in DEFAULT]  # no other user reads the log


def test_binaries_in_a_closed_cache_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root's own ``mktemp -d`` gives one: the servers' user cannot enter it."""
    with servers.running(["mariadb"], report=quiet) as found:
        server = found["mariadb"]
        if isinstance(server, Unavailable) or server.origin != "fetched":
            pytest.skip("MariaDB was not fetched")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for entry in cache.folder().glob("apt-*"):
        shutil.copytree(entry, closed / entry.name, symlinks=True)
    monkeypatch.setenv(cache.VARIABLE, str(closed))
    with servers.running(["mariadb"], report=quiet) as found:
        server = found["mariadb"]
        assert isinstance(server, Server), server
        assert server.origin == "fetched"


def test_a_tmpdir_without_room_is_one_line_that_names_it(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(small_disk))
    monkeypatch.setattr(private, "MEMORY", Path("/nowhere"))
    with pytest.raises(MatrixError, match="set TMPDIR") as caught, servers.running(["mariadb"], report=quiet):
        pass
    assert str(small_disk) in str(caught.value)
    assert "cache" not in str(caught.value)


def test_a_disk_that_fills_up_at_a_start_is_named(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MariaDB waits for room, and without any it cannot write why."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(small_disk))
    monkeypatch.setattr(private, "MEMORY", Path("/nowhere"))
    monkeypatch.setattr(private, "ROOM_WANTED", 0)
    began = time.monotonic()
    with servers.running(["mariadb"], report=quiet) as found:
        server = found["mariadb"]
        assert isinstance(server, Unavailable)
        assert "is full: make room, or set TMPDIR" in server.reason
    assert time.monotonic() - began < 15


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    """A file system with room for a few megabytes."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=1777", "none", open_folder], check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield open_folder
    subprocess.run(["umount", "--lazy", open_folder], check=True)


@pytest.mark.parametrize("name", ["postgres", "mariadbd"])
def test_ctrl_c_while_a_server_starts_does_not_start_another(name: str, open_folder: Path) -> None:
    """Programs that Ctrl-C ended do not count as programs that do not run."""
    began = open_folder / "began"
    for program in (name, "initdb"):
        (open_folder / program).write_text(f"#!/bin/sh\necho > {began}\nsleep 100\n")
        (open_folder / program).chmod(0o755)
    open_folder.chmod(0o777)
    product = "postgresql" if name == "postgres" else "mariadb"
    environ = {**os.environ, "PATH": f"{open_folder}:{os.environ['PATH']}", cache.VARIABLE: str(open_folder / "cache")}
    with subprocess.Popen(
        [sys.executable, "-c", START, "022", product],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environ,
        start_new_session=True,
    ) as process:
        assert eventually(began.exists, 10)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group
        out, err = process.communicate(timeout=10)
    assert "KeyboardInterrupt" in err
    assert "fetching" not in err
    assert not out
    assert not list((open_folder / "cache").glob(".*.part"))


def test_fetched_means_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_SERVERS", "fetched")
    with servers.running(["postgresql"], report=quiet) as found:
        server = found["postgresql"]
        if isinstance(server, Unavailable):
            pytest.skip(server.reason)
        assert server.origin == "fetched"
        with log_in(server, "postgres", "tls") as connection:
            assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)


# A user's own, by URL.


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "has to begin with mariadb:// or mysql://"),
        ("postgresql://u:secret@h/", "has to begin with"),
        ("mysql://h:3306/", "name a user"),
        ("mysql://u:secret@/", "name a user and a host"),
        ("mysql://u:secret@h:port/", "is not a URL"),
        ("mysql://u:secret@h/orders", "has to name no database"),
        ("mysql://u:secret@h/?charset=utf8", "unknown parameter 'charset'"),
        ("mysql://u:secret@h/?ca=/no/such/file", "no such file"),
        ("mysql://u:secret@127.0.0.1:9/", "127.0.0.1:9"),
    ],
)
def test_a_wrong_url_is_one_line_without_the_password(url: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATRIX_MARIADB_URL", url)
    with pytest.raises(MatrixError) as caught, servers.running(["mariadb"]):
        pass
    assert str(caught.value).startswith("MATRIX_MARIADB_URL")
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
def test_a_users_own_server_is_used(server: Server, transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MATRIX_{server.product.upper()}_URL", __main__.urls(server, "")[transport])
    with servers.running([server.product], report=quiet) as found:
        mine = found[server.product]
        assert isinstance(mine, Server)
        assert (mine.origin, mine.version, mine.series, mine.log) == ("url", server.version, server.series, None)
        observer = servers.observer(mine)
        observer.create_database("own")
        observer.drop_database("own")
        observer.close()
    log_in(server, "mysql" if server.protocol == "mysql" else "postgres").close()  # it still runs


def test_a_refused_password_is_one_line(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    url = __main__.urls(server, "")["tcp"].replace(server.password, "wrong")
    monkeypatch.setenv(f"MATRIX_{server.product.upper()}_URL", url)
    with pytest.raises(MatrixError, match=r"URL: .* (Access denied|password authentication failed)") as caught:  # noqa: SIM117
        with servers.running([server.product]):
            pass
    assert "\n" not in str(caught.value)


def test_leftovers_of_runs_that_are_gone_are_named_and_dropped_on_request(
    server: Server, observer: Observer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, other = "matrix_0123abcd_7", "matrix_orders"
    monkeypatch.setenv(f"MATRIX_{server.product.upper()}_URL", __main__.urls(server, "")["tcp"])
    with watchdog.Watchdog() as running:
        used = database_name(running.token, 3)
        for name in (gone, other, used):
            observer.create_database(name)
        said: list[str] = []
        with servers.running([server.product], watchdog=running, report=quiet):
            assert __main__.main(["--clean"]) == 0
            assert set(observer.databases()) & {gone, other, used} == {other, used}
            assert capsys.readouterr().out.count("\n") == 1
            observer.create_database(gone)
            with servers.running([server.product], report=said.append):
                assert f"gone, {gone}: `python -m matrix.servers --clean`" in said[0]
                assert used not in said[0]
    assert __main__.main(["--clean"]) == 0
    assert set(observer.databases()) & {gone, other, used} == {other}  # that run is gone as well, and one is ours
    observer.drop_database(other)


def test_a_role_that_may_not_create_databases_is_one_line(server: Server) -> None:
    with log_in(server, "mysql" if server.protocol == "mysql" else "postgres") as connection:
        cursor = connection.cursor()
        if server.protocol == "mysql":
            cursor.execute("CREATE USER weak IDENTIFIED BY 'ünïcode ☃'")
        else:
            cursor.execute("CREATE ROLE weak LOGIN PASSWORD 'ünïcode ☃'")
            connection.commit()
        weak = replace(server, user="weak", password="ünïcode ☃", socket=None)
        try:
            with (
                pytest.raises(MatrixError, match=r"refuses what the harness needs as weak: .*denied") as caught,
                contextlib.closing(servers.observer(weak)) as observer,
            ):
                observer.create_database("any")
            assert "\n" not in str(caught.value)
        finally:
            cursor.execute("DROP USER weak" if server.protocol == "mysql" else "DROP ROLE weak")
            connection.commit()


@settings(database=None)  # the checkout may be read-only
@given(user=st.text("aé:@/?#%& ", min_size=1), password=st.text("aé:@/?#%& "))
def test_accounts_of_any_spelling_survive_the_url(user: str, password: str) -> None:
    url = f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@h/"
    found = own.parse(url, products.find("mariadb"))
    assert (found.user, found.password) == (user, password)


# Reaching them.


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
def test_each_transport_is_what_it_says(server: Server, observer: Observer, database: str, transport: str) -> None:
    connection = log_in(server, database, transport)
    (session,) = observer.sessions(database)
    assert session.id == session_id(connection)
    assert session.user == server.user
    assert session.encrypted is (transport == "tls")
    connection.close()
    assert eventually(lambda: not observer.sessions(database))


@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
def test_a_wrong_password_is_refused(server: Server, transport: str) -> None:
    with pytest.raises((pymysql.OperationalError, psycopg.OperationalError)):
        log_in(server, "postgres", transport, password="")


def test_the_certificate_is_verified_by_its_own_authority_only(server: Server) -> None:
    assert server.ca
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if not system.exists():
        pytest.skip("there are no other authorities here")
    with pytest.raises((pymysql.OperationalError, psycopg.OperationalError), match="certificate"):
        log_in(Server(**{**vars(server), "ca": str(system)}), "postgres", "tls")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_strict_verifiers_accept_the_certificate(name: str, tmp_path: Path) -> None:
    """With the flags that are Python's default since 3.13."""
    ca, certificate, key = certificates.write(tmp_path)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=ca)
    server.load_cert_chain(certificate, key)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in ends * 2:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert ends[0].version() == "TLSv1.3"
    assert ends[0].getpeercert()


def test_the_version_is_the_servers_own(server: Server) -> None:
    with log_in(server, "mysql" if server.protocol == "mysql" else "postgres") as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT version()")
        assert server.version in cursor.fetchone()[0]


def test_the_password_is_not_in_the_representation(server: Server) -> None:
    assert server.password not in repr(server)


@pytest.mark.skipif(os.geteuid() != 0, reason="the run is not root's")
def test_servers_do_not_run_as_root(server: Server) -> None:
    assert processes(server)
    for number in processes(server):
        assert Path(f"/proc/{number}").stat().st_uid != 0


# Looking at them.


def write_orders(connection: Any, *numbers: int) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)")
    for number in numbers:
        cursor.execute(f"INSERT INTO orders VALUES ({number})")


def test_committed_is_what_others_can_see(server: Server, observer: Observer, database: str) -> None:
    assert observer.committed(database) is None
    connection = log_in(server, database)
    write_orders(connection, 1)
    connection.commit()
    write_orders(connection, 2)
    assert observer.committed(database) == {1}
    (session,) = observer.sessions(database)
    assert session.in_transaction is True
    connection.rollback()
    assert observer.committed(database) == {1}
    assert eventually(lambda: observer.sessions(database)[0].in_transaction is False)
    connection.close()


def test_dropping_a_database_ends_its_sessions(server: Server, observer: Observer) -> None:
    observer.create_database("dropped")
    connection = log_in(server, "dropped")
    write_orders(connection, 1)  # an open transaction holds locks
    begun = time.monotonic()
    observer.drop_database("dropped")
    assert time.monotonic() - begun < 2
    assert eventually(lambda: not observer.sessions("dropped"))
    with pytest.raises((pymysql.Error, psycopg.Error)):
        connection.cursor().execute("SELECT 1")
    connection.close()
    observer.drop_database("dropped")  # it may be gone already


def test_names_are_quoted(observer: Observer) -> None:
    name = "a b`\"'c"
    observer.create_database(name)
    assert observer.committed(name) is None
    observer.drop_database(name)


def test_the_observer_connects_again(server: Server, observer: Observer, database: str) -> None:
    with log_in(server, database) as connection:
        cursor = connection.cursor()
        if server.protocol == "mysql":
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND user = %s",
                (server.user,),
            )
            for (number,) in cursor.fetchall():
                cursor.execute(f"KILL {number}")
        else:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'matrix observer'"
            )
        assert [session.id for session in observer.sessions(database)] == [session_id(connection)]


def test_the_log_and_the_counters_tell_of_an_abandoned_connection(
    server: Server, observer: Observer, database: str
) -> None:
    assert server.log
    name = "Aborted_clients" if server.protocol == "mysql" else "sessions_abandoned"
    before = observer.counters(database)[name]
    connection = log_in(server, database)
    number = session_id(connection)
    descriptor = connection._sock.fileno() if server.protocol == "mysql" else connection.fileno()
    with socket.socket(fileno=os.dup(descriptor)) as shared:
        shared.shutdown(socket.SHUT_RDWR)  # gone without a termination message
    assert eventually(lambda: observer.counters(database)[name] == before + 1)
    log = server.log
    assert eventually(lambda: database in log.read_text())
    lines = [line for line in log.read_text().splitlines() if database in line]
    assert any(f"[{number}]" in line or f"connection {number} " in line for line in lines)
    if server.protocol == "mysql":
        connection._force_close()
    else:
        connection.close()


# PyMySQL leaves its Unix socket to the garbage collector where connecting fails.
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_a_server_that_died_is_one_line() -> None:
    with servers.running(DEFAULT, report=quiet) as found:
        for server in found.values():
            if isinstance(server, Unavailable):
                continue
            observer = servers.observer(server)
            for number in processes(server):
                os.kill(number, signal.SIGQUIT if server.product == "postgresql" else signal.SIGKILL)
            assert eventually(lambda port=server.port: not listening(port))  # type: ignore[misc]  # bound by default
            with pytest.raises(
                MatrixError, match=f"{server.version} at 127.0.0.1:{server.port} does not answer"
            ) as caught:
                observer.sessions("any")
            assert "\n" not in str(caught.value)
            del observer, caught
            gc.collect()


def test_servers_of_one_product_run_side_by_side(started: dict[str, Server | Unavailable]) -> None:
    """Each is its own: its series, its folders, its databases, its sessions, its log."""
    found = [server for server in started.values() if isinstance(server, Server)]
    if len({server.product for server in found}) == len(found):
        pytest.skip("there are no two of one product here")
    for facts in ("port", "socket", "log", "name", "password"):
        assert len({getattr(server, facts) for server in found}) == len(found)
    with contextlib.ExitStack() as stack:
        observers = [stack.enter_context(contextlib.closing(servers.observer(server))) for server in found]
        for observer in observers:
            observer.create_database("apart")  # the same name in each
        for server, observer in zip(found, observers, strict=True):
            assert server.series == (servers.series_of(server.name) or server.series)
            assert server.version.startswith(f"{server.series}.")
            connection = log_in(server, "apart", "tls")
            write_orders(connection, 7)
            connection.commit()
            seen = [(len(other.sessions("apart")), other.committed("apart")) for other in observers]
            assert seen.count((1, {7})) == 1
            assert seen[found.index(server)] == (1, {7})
            assert server.log
            assert any(line.session == session_id(connection) for line in logged(server, "apart"))
            connection.close()
            assert eventually(lambda observer=observer: not observer.sessions("apart"))  # type: ignore[misc]  # bound by default
        for observer in observers:
            observer.drop_database("apart")


def logged(server: Server, database: str) -> list[LogLine]:
    assert server.log
    return servers.log_lines(server, server.log.read_text(), database)


# Stopping them.

RUN = """
import json, sys, time
from matrix import servers
from matrix.process.watchdog import Watchdog
with Watchdog() as watchdog, servers.running(sys.argv[2:], watchdog=watchdog) as found:
    facts = [[s.port, s.socket, str(s.log.parent)] for s in found.values() if isinstance(s, servers.Server)]
    print(json.dumps([watchdog.token, facts]), flush=True)
    if sys.argv[1] == "exception":
        raise ValueError
    if sys.argv[1] == "wait":
        time.sleep(100)
"""


class Run:
    """A run in a process of its own, and what it said it had started."""

    def __init__(self, ending: str, *names: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, ending, *(names or DEFAULT)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout
        self.token, self.facts = json.loads(self.process.stdout.readline())
        self.process.stdout.close()

    def left(self) -> list[str]:
        rest = [f"process {pid}" for pid in watchdog.survivors(set(), self.token)]
        rest += [f"port {port}" for port, _, _ in self.facts if listening(port)]
        rest += [path for _, *paths in self.facts for path in paths if Path(path).exists()]
        memory = Path("/dev/shm") / f"fc-{self.token}"
        rest += [str(memory)] if memory.exists() else []
        rest += [f"process {pid}: {line!r}" for pid, line in commands().items() if self.token.encode() in line]
        return rest


def shared_memory(makers: set[str]) -> set[str]:
    """Return the System V segments (PostgreSQL has one) that these processes made."""
    lines = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    return {line[1] for line in lines if line[4] in makers}


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("ending", ["finished", "exception", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left(ending: str) -> None:
    run = Run("wait" if ending.startswith("SIG") else ending)
    if ending.startswith("SIG"):
        assert len(run.left()) >= 3 * len(run.facts)
        makers = {str(number) for number, command in commands().items() if run.token.encode() in command}
        assert shared_memory(makers)
        run.process.send_signal(signal.Signals[ending])
        run.process.wait(60)
        assert eventually(lambda: not shared_memory(makers))
    run.process.wait(60)
    assert eventually(lambda: not run.left()), run.left()


def test_two_runs_at_once_do_not_disturb_each_other() -> None:
    one, two = Run("wait", "mariadb"), Run("wait", "mariadb")
    one.process.kill()
    one.process.wait()
    assert eventually(lambda: not one.left()), one.left()
    assert all(listening(port) for port, _, _ in two.facts)
    two.process.send_signal(signal.SIGINT)
    two.process.wait(20)
    assert not two.left()


# The command.


@pytest.mark.parametrize("server", DEFAULT, indirect=True)
def test_the_command_prints_urls_that_work(server: Server) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "matrix.servers", server.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin
        assert process.stdout
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], "it ended"
        exports = [line for line in lines if "export DATABASE_URL=" in line]
        assert len(exports) == 3
        process.stdin.close()  # as good as Ctrl-C
        assert process.wait(10) == 0


def test_the_command_names_what_there_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "matrix.servers", "oracle"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in EVERY)


# Fetching.

STANZA = """\
Types: deb
URIs: http://mirror/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


@pytest.mark.parametrize(
    ("file", "own"),
    [
        ("sources.list", "deb http://mirror/debian bookworm main contrib\n"),
        (
            "sources.list",
            "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] file:/m bookworm-updates main\n",
        ),
        ("sources.list", "deb http://mirror/debian-security bookworm-security main # comment\n"),
        ("sources.list.d/debian.sources", STANZA),
        (
            "sources.list.d/x.sources",
            "# note\nTypes: deb deb-src\nURIs: http://m\n http://n\nSuites: stable\nComponents: main\n",
        ),
    ],
)
def test_the_distributions_sources_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, own: str
) -> None:
    monkeypatch.setattr(apt, "os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(own)
    assert list(apt.distribution_sources(tmp_path)) == [(Path(f"x{file}").suffix, own)]


@pytest.mark.parametrize(
    ("file", "foreign"),
    [
        ("sources.list", "# deb http://mirror/debian bookworm main\n"),
        ("sources.list", "deb-src http://mirror/debian bookworm main\n"),
        ("sources.list", "deb http://vendor/apt cloud-sdk-bookworm main\n"),
        ("sources.list", "deb [signed-by=/etc/apt/keyrings/docker.gpg] http://vendor/debian bookworm stable\n"),
        ("sources.list", "deb [arch=amd64 signed-by=/etc/apt/keyrings/mariadb.pgp] http://vendor bookworm main\n"),
        ("sources.list", "deb http://vendor/pgdg bookworm-pgdg main\n"),
        ("sources.list", "deb http://vendor ./\n"),
        (
            "sources.list.d/x.sources",
            "Types: deb\nURIs: http://m\nSuites: nodistro\nComponents: main\nSigned-By: /k/node.gpg\n",
        ),
        ("sources.list.d/x.sources", "Enabled: no\nTypes: deb\nURIs: http://m\nSuites: bookworm\nComponents: main\n"),
        ("sources.list.d/x.list.save", "deb http://mirror/debian bookworm main\n"),
    ],
)
def test_the_sources_of_others_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, foreign: str
) -> None:
    monkeypatch.setattr(apt, "os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"})
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(foreign)
    assert list(apt.distribution_sources(tmp_path)) == []


@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt here")
def test_packages_without_network_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "deb [trusted=yes] http://127.0.0.1:9/debian stable main\n"
    monkeypatch.setattr(apt, "distribution_sources", lambda **_: [(".list", source)])
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    with (
        watchdog.Watchdog() as watching,
        pytest.raises(MissingError, match=r"cannot be reached: .*127\.0\.0\.1:9") as caught,
    ):
        apt.server("mariadb-server-core", "usr/sbin/mariadbd", quiet, watching)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache").iterdir() if not path.name.endswith(".lock")]


@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt here")
def test_unsigned_packages_are_refused_even_if_the_machine_accepts_them(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, etc = write_archive(open_folder), open_folder / "etc"
    (etc / "apt.conf.d").mkdir(parents=True)
    (etc / "apt.conf").write_text('Acquire::AllowInsecureRepositories "1";\nAPT::Get::AllowUnauthenticated "1";\n')
    monkeypatch.setattr(apt, "distribution_sources", lambda **_: [(".list", f"deb file:{archive} ./\n")])
    monkeypatch.setattr(apt._Apt, "_configure", functools.partialmethod(apt._Apt._configure, etc))
    (open_folder / "into").mkdir()
    with watchdog.Watchdog() as watching, pytest.raises(MissingError, match=r"cannot be reached: .*(signed|Release)"):
        apt.unpack("forged", "forged", "usr/bin/forged", open_folder / "into", quiet, watching)
    assert not list((open_folder / "into").iterdir())


@pytest.mark.skipif(not shutil.which("apt-config"), reason="there is no apt here")
@pytest.mark.parametrize(("suite", "checked"), [(None, True), ("sid", False)])
def test_an_index_that_has_expired_is_refused_unless_it_is_of_another_release(
    suite: str | None, *, checked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt._Apt, "_run", lambda *_, **__: "")
    monkeypatch.setattr(apt, "distribution_sources", lambda **_: [(".list", "deb http://127.0.0.1:9 x main\n")])
    with watchdog.Watchdog() as watching, apt._Apt(watching, quiet, suite) as private_apt:
        environ = {**os.environ, "APT_CONFIG": str(private_apt._folder / "apt.conf")}
        done = subprocess.run(["apt-config", "dump"], env=environ, capture_output=True, text=True, check=True)
    assert ('Acquire::Check-Valid-Until "0";' not in done.stdout) == checked
    assert 'APT::Get::AllowUnauthenticated "0";' in done.stdout


def test_a_rolling_release_has_no_pockets(tmp_path: Path) -> None:
    name = apt.os_release().get("VERSION_CODENAME")
    if not name:
        pytest.skip("this system's release has no name")
    (tmp_path / "sources.list").write_text(
        f"deb http://one {name} main\ndeb http://one {name}-updates main\ndeb http://two {name}-security main\n"
    )
    (found,) = apt.distribution_sources(tmp_path, "sid")
    assert found == (".list", "deb http://one sid main\n")
    (tmp_path / "sources.list").unlink()
    (tmp_path / "sources.list.d").mkdir()
    stanza = "Types: deb\nURIs: http://one\nSuites: {}\nComponents: main\n"
    (tmp_path / "sources.list.d/a.sources").write_text(
        f"{stanza.format(f'{name} {name}-updates')}\n{stanza.format(f'{name}-security')}"
    )
    ((_, text),) = apt.distribution_sources(tmp_path, "sid")
    assert [line.split()[1:] for line in text.splitlines() if line.startswith("Suites")] == [["sid"]]


def test_a_server_that_has_too_little_memory_is_unavailable_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    if "mysql" not in EVERY:
        pytest.skip("MySQL is not here")
    monkeypatch.setattr(process, "free_memory", lambda: 100)
    with servers.running(["mysql"], report=quiet) as found:
        (server,) = found.values()
    assert isinstance(server, Unavailable)
    assert "100 MB of memory are free, and MySQL needs" in server.reason
    assert "\n" not in server.reason


def test_free_memory_is_the_machines_or_what_its_control_group_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "CONTROL_GROUP", tmp_path)
    whole = process.free_memory()
    assert whole
    (tmp_path / "memory.current").write_text(str(1 << 20))
    (tmp_path / "memory.max").write_text("max\n")
    assert process.free_memory() == pytest.approx(whole, rel=0.5)
    (tmp_path / "memory.max").write_text(str(8 << 20))
    assert process.free_memory() == 7


def write_archive(folder: Path) -> Path:
    """Make an archive of packages with one in it, `forged`, and return its folder."""
    archive, package = folder / "archive", folder / "package"
    control = (
        f"Package: forged\nVersion: 1\nArchitecture: {architecture()}\nMaintainer: x <x@example.org>\nDescription: x\n"
    )
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN" / "control").write_text(control)
    (package / "usr" / "bin").mkdir(parents=True)
    (package / "usr" / "bin" / "forged").touch(mode=0o755)
    archive.mkdir()
    for path in (package, *package.rglob("*")):
        path.chmod(0o755)  # dpkg-deb refuses what others cannot read
    deb = archive / "forged.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", package, deb], check=True, capture_output=True)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    (archive / "Packages").write_text(
        f"{control}Filename: ./forged.deb\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    )
    return archive


def architecture() -> str:
    done = subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_download_that_is_not_what_was_pinned_is_refused(tmp_path: Path) -> None:
    wheel = next(wheel for name in EVERY if (wheel := products.find(name).version.wheel))
    with pytest.raises(MissingError, match=re.escape(f"{wheel.requirement}: ")) as caught:
        pip.download(structs.replace(wheel, hashes=(f"sha256:{'0' * 64}",)).pinned, tmp_path / "wheel", python="3.12")
    assert "\n" not in str(caught.value)


# What a machine may lack


def test_a_machine_without_an_ipv4_loopback_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def bind(self, _: object) -> None:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    monkeypatch.setattr(socket, "socket", Socket)
    with pytest.raises(MissingError, match=r"127\.0\.0\.1.*Cannot assign requested address"):
        process.free_port()


def test_a_machine_without_a_folder_of_temporary_files_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    with pytest.raises(MatrixError, match="No usable temporary directory found; set TMPDIR"):
        files.folder_for_sockets("socket")


def test_data_is_not_kept_in_memory_where_the_servers_user_may_not_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = tmp_path / "shm"
    memory.mkdir()
    memory.chmod(0o700)
    monkeypatch.setattr(private, "MEMORY", memory)
    monkeypatch.setattr(private, "MEMORY_WANTED", 0)
    monkeypatch.setattr(process, "unprivileged", lambda: (os.getuid(), os.getgid()))
    with watchdog.Watchdog() as dog, private.folders(["mariadb"], dog, quiet) as place:
        assert not place.data.is_relative_to(memory)
