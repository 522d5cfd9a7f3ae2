"""MySQL: where it is found, and how a private server of it is started."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MissingError
from matrix.servers import process
from matrix.servers.model import USER, Binaries, Endpoint, StartError
from matrix.servers.mysql.log import log_lines

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
    "/usr/local/mysql/bin",
    "/opt/homebrew/opt/mysql*/bin",
    "/usr/local/opt/mysql*/bin",
    "/opt/local/lib/mysql*/bin",  # MacPorts
)
# MB of memory that a server needs, its data in memory included; with less it ends without a word.
MEMORY = 400
# The same for making the data folder and for serving it: InnoDB refuses to open files of another size.
STORAGE = {
    "innodb-data-file-path": "ibdata1:5M:autoextend",
    "innodb-autoextend-increment": "1",
    "innodb-temp-data-file-path": "ibtmp1:12M:autoextend",
    "innodb-redo-log-capacity": "8M",
    "innodb-log-buffer-size": "1M",
    "innodb-buffer-pool-size": "16M",
    "innodb-buffer-pool-dump-at-shutdown": "OFF",
    "innodb-buffer-pool-load-at-startup": "OFF",
    "innodb-doublewrite": "OFF",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-use-native-aio": "0",
    "skip-log-bin": "",
    "secure-file-priv": "",
    "auto-generate-certs": "OFF",  # the run has its own
}
# What costs time or memory and shows nothing here, and what the harness reads in the log.
SETTINGS = STORAGE | {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "",
    "mysqlx": "OFF",
    "server-id": "1",
    "max-connections": "200",
    "log-error-verbosity": "3",  # notes every aborted connection
    "table-open-cache": "400",
    "thread-cache-size": "0",  # a thread that ended is not kept: what the server shows is what there is
    # The performance schema alone says from outside whether a session is encrypted; its instruments are not
    # needed.
    "performance-schema": "ON",
    "performance-schema-instrument": "%=OFF",
    "performance-schema-digests-size": "0",
    "performance-schema-error-size": "0",
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
DROP USER root@localhost;
"""


def installed() -> Iterator[Path]:
    """Yield the servers of this machine: those on ``PATH``, then those in the usual folders."""
    found: dict[Path, None] = {}
    if on_path := shutil.which("mysqld"):
        found[Path(on_path).resolve()] = None
    for pattern in FOLDERS:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            found[(folder / "mysqld").resolve()] = None
    for server in found:
        if server.is_file() and os.access(server, os.X_OK):
            yield server


def reported_version(text: str) -> str | None:
    """Return the version that ``mysqld --version`` printed, as ``9.7.4``; None if it is not MySQL."""
    match = re.search(r"Ver (\d[\d.]*\d)(?!\S*MariaDB)", text)
    return match[1] if match else None


def series(version: str) -> str:
    """Return the series of a version: ``9`` of ``9.7.4``, but ``8.4`` of ``8.4.6``."""
    parts = version.split(".")
    return parts[0] if int(parts[0]) >= 9 else ".".join(parts[:2])


def start(binaries: Binaries, version: str, place: Place, cleanup: ExitStack) -> Endpoint:
    """Start a private server on a copy of a template of its data folder."""
    if (free := process.free_memory()) is not None and free < MEMORY:
        raise MissingError(f"{free} MB of memory are free, and MySQL needs {MEMORY}: end other programs")
    base = _base_options(binaries)
    home = process.create_data(
        binaries, place, f"mysql-{version}", STORAGE, lambda work: _initialise(binaries, place, base, work)
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


def _initialise(binaries: Binaries, place: Place, base: list[str], work: Path) -> None:
    """Create a data folder with the system's tables."""
    options = [*base, "--initialize-insecure", *_options(STORAGE), f"--datadir={work / 'data'}", *_as_user(place)]
    process.call(binaries.server, [*options, "--performance-schema=OFF"], binaries, place, cwd=work)


def _options(settings: dict[str, str]) -> list[str]:
    return [
        f"--{name}={value}" if value or name == "secure-file-priv" else f"--{name}" for name, value in settings.items()
    ]


def _base_options(binaries: Binaries) -> list[str]:
    """Return the options that tell a server, wherever it was unpacked, where its files are."""
    for top in (binaries.server.parent.parent, Path("/usr"), Path("/usr/local")):
        for share in (top / "share" / "mysql", top / "share"):
            if (share / "english" / "errmsg.sys").is_file():
                options = ["--no-defaults", f"--basedir={top}", f"--lc-messages-dir={share}"]
                return [*options, f"--character-sets-dir={share / 'charsets'}"]
    raise StartError(f"the server's messages, english/errmsg.sys, are not there beside {binaries.server}")


def _as_user(place: Place) -> list[str]:
    """Return the option without which the server refuses to be root if it has to stay root."""
    return [] if place.owner or os.geteuid() else ["--user=root"]
