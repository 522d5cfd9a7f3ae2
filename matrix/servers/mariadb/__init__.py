"""MariaDB: where it is found, and how a private server of it is started."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.servers import process
from matrix.servers.mariadb.log import log_lines
from matrix.servers.model import USER, Binaries, Endpoint, StartError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from matrix.servers.model import Place

__all__ = ["installed", "log_lines", "reported_version", "series", "start"]

VERSION_ARGUMENTS = ("--no-defaults", "--version")
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
# They make the system tables; their names begin with `mysql` in older series.
SCRIPTS = ("_system_tables.sql", "_performance_tables.sql", "_system_tables_data.sql")
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


def installed() -> Iterator[Path]:
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
            yield server


def reported_version(text: str) -> str | None:
    """Return the version that ``mariadbd --version`` printed, as ``10.11.14``; None if it is not MariaDB."""
    match = re.search(r"(\d[\d.]*\d)-MariaDB", text)
    return match[1] if match else None


def series(version: str) -> str:
    """Return the series of a version: ``10.11`` of ``10.11.14``."""
    return ".".join(version.split(".")[:2])


def start(binaries: Binaries, version: str, place: Place, cleanup: ExitStack) -> Endpoint:
    """Start a private server on a copy of a template of its data folder."""
    base, scripts = _base_options(binaries)
    home = process.create_data(
        binaries, place, f"mariadb-{version}", STORAGE, lambda work: _initialise(binaries, place, base, scripts, work)
    )
    data, sockets, password = home / "data", place.folder / "s", secrets.token_hex(16)
    sockets.mkdir(mode=0o700)
    process.give(place, sockets)
    path = sockets / "s"
    log, first = (process.private_file(place.folder / name, place) for name in ("log", "first.sql"))
    first.write_text(FIRST.format(user=USER, password=password))
    settings = SETTINGS | {
        "datadir": str(data),
        "tmpdir": str(data),
        "socket": str(path),
        "pid-file": str(data / "pid"),
        "init-file": str(first),
        # Says of every session how it connected and whether it ended with COM_QUIT, under TLS as well.
        "general-log": "1",
        "general-log-file": str(log),
        "ssl-ca": str(place.ca),
        "ssl-cert": str(home / place.certificate.name),
        "ssl-key": str(home / place.key.name),
    }

    def ready() -> bool:
        # Not by connecting: a connection that says nothing would be counted in Aborted_connects.
        return path.exists() and b"ready for connections" in log.read_bytes()

    port = process.serve(
        [*base, *_options(settings), *_as_user(place)],
        binaries,
        place,
        cleanup,
        log=log,
        stop=signal.SIGKILL,  # nothing of it is kept, and it holds nothing outside its folder
        ready=ready,
        port_taken="Bind on TCP/IP port",
    )
    return Endpoint(port, path, log, password)


def _initialise(binaries: Binaries, place: Place, base: list[str], scripts: list[Path], work: Path) -> None:
    """Create a data folder with the system's tables and no account but the owner of the system's views."""
    data = work / "data"
    data.mkdir(mode=0o700)
    process.give(place, data)
    script = [b"CREATE DATABASE mysql;\nUSE mysql;\n"]
    script += [path.read_bytes() for path in scripts]
    # The others could log in without a password.
    script += [b"\nDELETE FROM global_priv WHERE User <> 'mariadb.sys';\n"]
    options = [*base, "--bootstrap", *_options(STORAGE), f"--datadir={data}", f"--tmpdir={data}", *_as_user(place)]
    process.call(binaries.server, options, binaries, place, stdin=b"".join(script), cwd=data)


def _options(settings: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" if value else f"--{name}" for name, value in settings.items()]


def _base_options(binaries: Binaries) -> tuple[list[str], list[Path]]:
    """Return the options that tell a server, wherever it was unpacked, where its files are, and its own scripts."""
    for top in (binaries.server.parent.parent, Path("/usr"), Path("/usr/local")):
        for folder, prefix in itertools.product(("mariadb", "mysql"), ("mariadb", "mysql")):
            share = top / "share" / folder
            scripts = [share / f"{prefix}{name}" for name in SCRIPTS]
            if scripts[0].is_file():
                options = ["--no-defaults", f"--basedir={top}", f"--lc-messages-dir={share}"]
                return [*options, f"--character-sets-dir={share / 'charsets'}"], scripts
    raise StartError(f"the scripts that make the system tables, *{SCRIPTS[0]}, are not there beside {binaries.server}")


def _as_user(place: Place) -> list[str]:
    """Return the option without which the server refuses to be root if it has to stay root."""
    return [] if place.owner or os.geteuid() else ["--user=root"]
