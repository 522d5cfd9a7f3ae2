"""MariaDB: the machine's own server, or the distribution's package, unpacked."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.errors import MatrixError
from matrix.provision import apt, cache
from matrix.records.server import LogLine, Session
from matrix.servers import _process
from matrix.servers._model import USER, Binaries, Server, StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    import pymysql

    from matrix.process.watchdog import Watchdog
    from matrix.servers._model import Place

NAME = "mariadb"
TITLE = "MariaDB"
PROTOCOL = "mysql"
SCHEMES = ("mariadb", "mysql")
PORT = 3306
INSTALL = "mariadb-server (Debian, Ubuntu: `apt-get install mariadb-server`; macOS: `brew install mariadb`)"

FOLDERS = (
    "/usr/sbin",
    "/usr/libexec",  # Fedora
    "/usr/local/sbin",
    "/usr/local/libexec",
    "/opt/homebrew/opt/mariadb*/bin",
    "/usr/local/opt/mariadb*/bin",
    "/usr/local/mysql/bin",
    "/opt/local/lib/mariadb*/bin",  # MacPorts
)
SCRIPTS = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")
# The same for making the data folder and for serving it: InnoDB refuses to open files of another size.
STORAGE = {
    "innodb-data-file-path": "ibdata1:3M:autoextend",
    "innodb-autoextend-increment": "1",
    "innodb-temp-data-file-path": "ibtmp1:3M:autoextend",
    "innodb-log-file-size": "4M",
    "innodb-buffer-pool-size": "16M",
    "innodb-doublewrite": "0",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-use-native-aio": "0",
    "loose-innodb-file-per-table": "1",
    "skip-log-bin": "",
}
# What costs time or memory and shows nothing here, and what the harness reads in the log.
SETTINGS = STORAGE | {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "",
    "max-connections": "200",
    "log-warnings": "4",  # notes every aborted connection
    "character-set-server": "utf8mb4",
    "loose-feedback": "OFF",
    "thread-cache-size": "0",  # a thread that ended is not kept: what the server shows is what there is
    # The performance schema alone says from outside whether a session is encrypted; its instruments are not
    # needed.
    "performance-schema": "ON",
    "performance-schema-instrument": "%=OFF",
    "performance-schema-digests-size": "0",
    "performance-schema-max-digest-length": "0",
    "performance-schema-max-sql-text-length": "0",
    "performance-schema-max-table-instances": "0",
    "performance-schema-max-thread-instances": "300",
    **{
        f"performance-schema-events-{kind}-history-long-size": "0"
        for kind in ("statements", "waits", "stages", "transactions")
    },
    **{
        f"performance-schema-max-{kind}-classes": "0"
        for kind in ("statement", "memory", "stage", "mutex", "rwlock", "cond", "file")
    },
}


# Run before the server listens; one statement a line.
FIRST = """\
CREATE USER {user}@'%' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO {user}@'%' WITH GRANT OPTION;
UPDATE performance_schema.setup_consumers SET ENABLED = 'YES' WHERE NAME = 'events_transactions_current';
UPDATE performance_schema.setup_instruments SET ENABLED = 'YES', TIMED = 'NO' WHERE NAME = 'transaction';
"""


def installed() -> Iterator[Binaries]:
    """Yield the servers of this machine: those on ``PATH``, then those in the usual folders."""
    found: dict[Path, None] = {}
    for name in ("mariadbd", "mysqld"):
        if on_path := shutil.which(name):
            found[Path(on_path).resolve()] = None
        for pattern in FOLDERS:
            for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
                found[(folder / name).resolve()] = None
    for server in found:
        if server.is_file() and os.access(server, os.X_OK):
            yield Binaries("machine", server)


def fetched(report: Callable[[str], None], watchdog: Watchdog) -> Iterator[Binaries]:
    """Yield the distribution's server."""
    unpacked = apt.server("mariadb-server-core", "usr/sbin/mariadbd", report, watchdog)
    yield Binaries("fetched", unpacked.program, unpacked.root, unpacked.libraries)


def start(binaries: Binaries, place: Place, cleanup: ExitStack) -> Server:
    """Start a private server on a copy of a template of its data folder."""
    said = _process.call([binaries.server, "--no-defaults", "--version"], binaries, place)
    if "MariaDB" not in said:
        raise StartError(f"{binaries.server} is not MariaDB but says {said.strip()!r}")
    data, sockets, log = place.data / "mariadb", place.folder / "my", place.folder / "mariadb.log"
    base = _base_options(binaries)
    _create_data(binaries, place, said, base, data)
    certificate, key, first = data / "server.pem", data / "server.key", place.folder / "mariadb.sql"
    for source, target in ((place.certificate, certificate), (place.key, key)):
        shutil.copy2(source, target)
    password = secrets.token_hex(16)
    first.touch(mode=0o600)
    log.touch(mode=0o600)
    first.write_text(FIRST.format(user=USER, password=password))
    sockets.mkdir(mode=0o700, exist_ok=True)
    if place.owner:
        for path in (certificate, key, sockets, first, log):
            os.chown(path, *place.owner)
    path = sockets / "s"
    settings = SETTINGS | {
        "datadir": str(data),
        "tmpdir": str(data),
        "socket": str(path),
        "pid-file": str(data / "pid"),
        "init-file": str(first),
        # Says of every session how it connected and whether it was told goodbye, under TLS as well.
        "general-log": "1",
        "general-log-file": str(log),
        "ssl-ca": str(place.ca),
        "ssl-cert": str(certificate),
        "ssl-key": str(key),
    }
    port = _serve(binaries, place, cleanup, [*base, *_options(settings)], path, log)
    server = Server(
        name=NAME,
        product=NAME,
        protocol=PROTOCOL,
        version="",
        series="",
        origin=binaries.origin,
        user=USER,
        password=password,
        host="127.0.0.1",
        port=port,
        socket=str(path),
        ca=str(place.ca),
        log=log,
    )
    text = version(server)
    return replace(server, version=text, series=series(text))


def _options(settings: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]


def _base_options(binaries: Binaries) -> list[str]:
    """Return the options that tell a server, wherever it was unpacked, where its own files are."""
    for top in (binaries.server.parent.parent, Path("/usr"), Path("/usr/local")):
        for name in ("mariadb", "mysql"):
            share = top / "share" / name
            if (share / SCRIPTS[0]).is_file():
                options = ["--no-defaults", f"--basedir={top}", f"--lc-messages-dir={share}"]
                return [*options, f"--character-sets-dir={share / 'charsets'}"]
    raise StartError(f"{SCRIPTS[0]}, which makes the system tables, is not there beside {binaries.server}")


def _as_user(place: Place) -> list[str]:
    """Return the option without which the server refuses to be root where it has to stay root."""
    return [] if place.owner or os.geteuid() else ["--user=root"]


def _serve(binaries: Binaries, place: Place, cleanup: ExitStack, options: list[str], path: Path, log: Path) -> int:
    """Start the server at a free port and return the port; where another program took it first, try again."""

    def ready() -> bool:
        # Not by connecting: a connection that says nothing would be counted in Aborted_connects.
        return path.exists() and b"ready for connections" in log.read_bytes()

    for attempt in range(5):
        port = _process.free_port()
        running = _process.start(
            [binaries.server, *options, f"--port={port}", *_as_user(place)],
            binaries,
            place,
            log=log,
            stop=signal.SIGKILL,  # nothing of it is kept, and it holds nothing outside its folder
        )
        cleanup.callback(running.stop)
        try:
            running.wait_until(ready)
        except StartError:
            if attempt < 4 and "Bind on TCP/IP port" in log.read_text(errors="replace"):
                log.write_text("")
                continue
            raise
        break
    return port


def _create_data(binaries: Binaries, place: Place, said: str, base: list[str], data: Path) -> None:
    """Create a data folder from the cached template, which is made if need be."""
    status = binaries.server.stat()
    recipe = f"{binaries.server} {status.st_size} {status.st_mtime_ns} {said} {STORAGE}"
    number = re.search(r"(\d[\d.]*\d)-MariaDB", said)
    name = f"mariadb-{number[1] if number else ''}-data-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"

    def initialise(folder: Path) -> None:
        work = place.data / "mariadb.new"
        work.mkdir(mode=0o700)
        if place.owner:
            os.chown(work, *place.owner)
        share = Path(next(option for option in base if option.startswith("--lc-messages-dir")).partition("=")[2])
        script = [b"CREATE DATABASE mysql;\nUSE mysql;\n"]
        script += [(share / name).read_bytes() for name in SCRIPTS]
        # Of the accounts the scripts create, all but the owner of the system's views: they could log in
        # without a password.
        script += [b"\nDELETE FROM global_priv WHERE User <> 'mariadb.sys';\n"]
        options = [
            *base,
            "--bootstrap",
            *_options(STORAGE),
            f"--datadir={work}",
            f"--tmpdir={work}",
            *_as_user(place),
        ]
        _process.call([binaries.server, *options], binaries, place, stdin=b"".join(script), cwd=work)
        cache.copy(work, folder / "template", owner=(os.geteuid(), os.getegid()) if place.owner else None)
        shutil.rmtree(work)

    try:
        template = cache.entry(name, initialise, private=True) / "template"
    except cache.CacheError:  # a cache that cannot be written to costs a quarter of a second, nothing else
        template = place.data / "mariadb.template" / "template"
        template.parent.mkdir(mode=0o700)
        initialise(template.parent)
    cache.copy(template, data, owner=place.owner)


def _connect(server: Server) -> pymysql.Connection[Any]:
    import pymysql  # noqa: PLC0415  # starting the server need not wait for it

    if server.socket:
        # The `ssl_disabled` keyword keeps PyMySQL from turning TLS on by itself, which a Unix socket does
        # not need.
        through: dict[str, Any] = {"unix_socket": server.socket, "ssl_disabled": True}
    else:
        through = {"host": server.host, "port": server.port}
        through |= {"ssl": {"ca": server.ca}} if server.ca else {"ssl_disabled": True}
    return pymysql.connect(
        **through,
        user=server.user,
        password=server.password,
        autocommit=True,
        connect_timeout=10,
        read_timeout=30,
        write_timeout=30,
        program_name="matrix observer",
        init_command="SET SESSION lock_wait_timeout = 5",
    )


def version(server: Server) -> str:
    """Ask a server for its version, as ``10.11.14``."""
    import pymysql  # noqa: PLC0415  # as in _connect

    try:
        with _connect(server) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            rows = cursor.fetchall()
    except (pymysql.Error, OSError) as error:
        raise MatrixError(_said(error)) from error
    text = str(rows[0][0])
    if "MariaDB" not in text:
        raise MatrixError(f"it is not MariaDB but says {text}")
    return text.partition("-")[0]


def _said(error: Exception) -> str:
    """Return a client error's message without the number and brackets PyMySQL's have."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def series(version: str) -> str:
    """Return the series of a version: ``10.11`` of ``10.11.14``."""
    return ".".join(version.split(".")[:2])


def observer(server: Server) -> _Observer:
    """Connect to a server."""
    return _Observer(server)


class _Observer:
    """Looks at a server through one connection that is in no database."""

    LOST = (2006, 2013, 2014, 2055)  # the client's own codes for a connection that is gone

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: pymysql.Connection[Any] | None = None
        # A user's own server may not keep track of them.
        self._transactions = bool(
            self._query(
                "SELECT 1 FROM performance_schema.setup_consumers c, performance_schema.setup_instruments i"
                " WHERE c.NAME = 'events_transactions_current' AND c.ENABLED = 'YES'"
                " AND i.NAME = 'transaction' AND i.ENABLED = 'YES'"
            )
        )

    def _query(self, query: str, parameters: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; connect again, once, if the connection was lost."""
        import pymysql  # noqa: PLC0415  # as in _connect

        for last in (False, True):
            try:
                if self._connection is None:
                    self._connection = _connect(self._server)
                with self._connection.cursor() as cursor:
                    cursor.execute(query, parameters)
                    return list(cursor.fetchall())
            except (pymysql.OperationalError, pymysql.InterfaceError, OSError) as error:
                code = error.args[0] if error.args else None
                refused = self._connection is not None and code not in (*self.LOST, 0)
                if refused and not isinstance(error, OSError):
                    raise
                self.close()
                if last:
                    raise MatrixError(self._gone(error)) from error
        raise AssertionError("unreachable")

    def create_database(self, name: str) -> None:
        self._query(f"CREATE DATABASE {_quoted(name)} CHARACTER SET utf8mb4")

    def drop_database(self, name: str) -> None:
        import pymysql  # noqa: PLC0415  # as in _connect

        for session in self.sessions(name):
            try:
                self._query(f"KILL HARD CONNECTION {session.id}")
            except pymysql.OperationalError as error:
                if error.args[0] != 1094:  # it has ended by itself
                    raise
        self._query(f"DROP DATABASE IF EXISTS {_quoted(name)}")

    def sessions(self, database: str) -> list[Session]:
        rows = self._query(
            "SELECT p.ID, p.USER, t.CONNECTION_TYPE, p.COMMAND, p.STATE, e.STATE"
            " FROM information_schema.PROCESSLIST p"
            " LEFT JOIN performance_schema.threads t ON t.PROCESSLIST_ID = p.ID"
            " LEFT JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = t.THREAD_ID"
            " WHERE p.DB = %s AND p.ID <> CONNECTION_ID() ORDER BY p.ID",
            (database,),
        )
        return [
            Session(
                id=number,
                user=user,
                encrypted=None if kind is None else kind == "SSL/TLS",
                state=f"{command}: {state}" if state else command,
                in_transaction=transaction == "ACTIVE" if self._transactions else None,
            )
            for number, user, kind, command, state, transaction in rows
        ]

    def committed(self, database: str) -> set[int] | None:
        import pymysql  # noqa: PLC0415  # as in _connect

        try:
            return {row[0] for row in self._query(f"SELECT id FROM {_quoted(database)}.orders")}
        except pymysql.ProgrammingError as error:
            if error.args[0] in (1146, 1049):  # no such table, no such database
                return None
            raise

    def counters(self, database: str) -> dict[str, int]:  # the server counts for all databases together
        rows = self._query("SHOW GLOBAL STATUS WHERE Variable_name IN ('Aborted_clients', 'Aborted_connects')")
        return {name: int(value) for name, value in rows}

    def close(self) -> None:
        if self._connection is not None and self._connection.open:
            self._connection.close()
        self._connection = None

    def _gone(self, error: Exception) -> str:
        return _process.gone(TITLE, self._server, _said(error))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


_COMMAND = re.compile(r"(?:\d{6} +[\d:]+)?\t+ *(?P<session>\d+) (?P<command>Connect|Quit)\t(?P<text>.*)")
_ABORTED = re.compile(
    r"[\d-]+ +[\d:]+ \d+ \[Warning\] Aborted connection (?P<session>\d+) to db: '(?P<db>[^']*)'.*(?P<why>\(.*\))"
)


def log_lines(log: str, database: str) -> list[LogLine]:
    """Return what the general log and the error log say about the sessions in a database; both know seconds only."""
    found: list[LogLine] = []
    sessions: set[int] = set()
    for line in log.splitlines():
        if match := _COMMAND.fullmatch(line):
            session = int(match["session"])
            if match["command"] == "Connect" and f" on {database} " in match["text"] + " ":
                sessions.add(session)
                found.append(LogLine(None, session, f"Connect, {match['text'].rpartition(' using ')[2]}"))
            elif match["command"] == "Quit" and session in sessions:
                found.append(LogLine(None, session, "Quit"))
        elif (match := _ABORTED.match(line)) and match["db"] == database:
            found.append(LogLine(None, int(match["session"]), f"Aborted connection {match['why']}"))
    return found
