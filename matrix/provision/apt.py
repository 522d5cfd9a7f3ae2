"""Packages of the distribution, downloaded and unpacked, not installed: apt with folders of its own, without root.

The machine's own package lists may be old or empty, and an ordinary user cannot renew them; so a private
copy is made, from the distribution's entries in the machine's own sources. Entries of others are left out:
they may fail, or replace packages.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.errors import MissingError
from matrix.provision import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matrix.process.watchdog import Watchdog

TOOLS = ("apt-get", "dpkg-deb", "ldd")
PATIENCE = 300  # seconds an apt-get may take
COMPONENTS = {"main", "contrib", "non-free", "non-free-firmware", "universe", "restricted", "multiverse"}
ROLLING = {"sid", "unstable", "devel"}  # they have no pockets, such as `-updates`
ALIASES = {"stable", "oldstable", "testing", "unstable", "sid", "devel", "kali-rolling"}


@dataclass(frozen=True)
class Unpacked:
    """A program from an unpacked package, and the folders its loader searches.

    ``loader`` is set if the program needs a newer C library than the machine's: then it is started by this one.
    """

    root: Path
    program: Path
    libraries: tuple[Path, ...]
    loader: Path | None = None


def server(
    package: str,
    pattern: str,
    report: Callable[[str], None],
    watchdog: Watchdog,
    *,
    suite: str | None = None,
    unneeded: Sequence[str] = (),
) -> Unpacked:
    """Return the program that matches ``pattern`` in a package, with those libraries that this machine lacks.

    ``suite`` is another release of this distribution to take it from. What the globs ``unneeded`` match is removed.
    From the cache if it is there. Raises ``MissingError`` if it is unavailable.
    """

    def fill(folder: Path) -> None:
        # `postgresql` is a package that holds nothing and depends on `postgresql-15`, which does.
        unpack(package, rf"{re.escape(package)}(-\d+)?", pattern, folder, report, watchdog, suite=suite)
        for path in [path for glob in unneeded for path in folder.glob(glob)]:
            shutil.rmtree(path)

    def unpacked() -> Unpacked:
        root = cache.entry(name, fill, cancelled=lambda: watchdog.cancelled)
        loader = next((root / place for place in root.glob("usr/lib/*-linux-*/ld-linux*.so*")), None)
        return Unpacked(root, max(root.glob(pattern)), library_folders(root), loader)

    require_tools()
    name = cache_name(package, suite)
    found = unpacked()
    if missing_libraries(found.program, found.libraries, found.loader):
        cache.discard(name)  # it was made where more was installed than here
        found = unpacked()
    return found


def cache_name(package: str, suite: str | None = None) -> str:
    """Return the name of a package's entry in the cache."""
    return f"apt-{package}-{release_name()}{f'-{suite}' if suite else ''}"


def unpack(
    package: str,
    names: str,
    pattern: str,
    folder: Path,
    report: Callable[[str], None],
    watchdog: Watchdog,
    *,
    suite: str | None = None,
) -> Path:
    """Unpack a package into a folder and return the path in it that matches ``pattern``.

    Of all it depends on, those packages are taken whose whole name matches the regular expression ``names``,
    and those that bring the shared libraries this machine lacks: all of them, the C library and its loader included,
    if the machine's C library is too old. Raises ``MissingError``.
    """
    require_tools()
    with _Apt(watchdog, report, suite) as apt:
        closure = apt.closure(package)
        chosen = [name for name in closure if re.fullmatch(names, name)]
        apt.unpack(chosen, folder)
        found = max(folder.glob(pattern), default=None)
        if found is None:
            raise MissingError(f"the distribution's {' and '.join(chosen)} have no {pattern}")
        rest = [name for name in closure if name not in chosen]
        if c_library_too_old(found):
            apt.unpack(rest, folder)
        else:
            _add_libraries(apt, rest, folder, found)
    return found


def require_tools() -> None:
    """Raise ``MissingError`` where this is no system of this kind."""
    if absent := [tool for tool in TOOLS if not shutil.which(tool)]:
        raise MissingError(f"what the distribution has can be fetched only with {', '.join(absent)}")


def release_name() -> str:
    """Return a name for this distribution's release and machine, as in ``debian-12-x86_64``."""
    release = os_release()
    return f"{release.get('ID', 'linux')}-{release.get('VERSION_ID', 'rolling')}-{platform.machine()}"


def os_release() -> dict[str, str]:
    """Return what ``os-release`` says about this system; empty where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def library_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders below an unpacked root that hold shared libraries a loader should find."""
    folders = {path.parent for top in ("usr/lib", "lib") for path in root.glob(f"{top}/*-linux-*/*.so*")}
    return tuple(sorted(folders))


def missing_libraries(program: Path, folders: Sequence[Path], loader: Path | None = None) -> list[str]:
    """Return the names of the shared libraries the loader, by default the machine's, does not find for a program."""
    return re.findall(r"^\s*(\S+) => not found", _libraries(program, folders, loader), re.MULTILINE)


def c_library_too_old(program: Path) -> bool:
    """Say whether a program was built for a newer C library than this machine's."""
    return re.search(r"version `GLIBC\w*_[\d.]+' not found", _libraries(program, ())) is not None


def _libraries(program: Path, folders: Sequence[Path], loader: Path | None = None) -> str:
    """Return what the loader says of the libraries that a program needs."""
    path = os.pathsep.join(map(str, folders))
    command = [str(loader), "--library-path", path, "--list"] if loader else ["ldd"]
    environ = {**os.environ, "LD_LIBRARY_PATH": path, "LC_ALL": "C"}
    done = subprocess.run([*command, str(program)], capture_output=True, text=True, env=environ, check=False)
    return done.stdout + done.stderr


def _add_libraries(apt: _Apt, closure: list[str], folder: Path, program: Path) -> None:
    """Unpack the packages that bring what the loader misses: those named like it first, then all others."""
    missing = missing_libraries(program, library_folders(folder))
    likely = [name for name in closure if any(name.startswith(soname.partition(".so")[0]) for soname in missing)]
    # The C library belongs to the loader of the machine; another one beside it would break every program.
    rest = [name for name in closure if name not in likely and not name.startswith(("libc6", "libc-"))]
    for candidates in (likely, rest):
        if missing and candidates:
            apt.unpack(candidates, folder)
            missing = missing_libraries(program, library_folders(folder))
    if missing:
        raise MissingError(f"no package of the distribution brings {', '.join(missing)}")


class _Apt:
    """A private set of apt's folders, renewed once; a context manager."""

    def __init__(self, watchdog: Watchdog, report: Callable[[str], None], suite: str | None = None) -> None:
        self._watchdog = watchdog
        self._suite = suite
        self._report = report
        self._folder = Path(tempfile.gettempdir()) / f"fc-apt-{os.urandom(6).hex()}"
        self._complaint = ""

    def __enter__(self) -> _Apt:
        self._watchdog.watch_folder(self._folder)
        self._folder.mkdir(mode=0o700)
        for name in ("lists/partial", "archives/partial", "sources.d", "debs"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "status").touch()
        self._configure()
        count = 0
        for count, (suffix, text) in enumerate(distribution_sources(suite=self._suite), 1):
            (self._folder / "sources.d" / f"{count}{suffix}").write_text(text)
        if not count:
            raise MissingError("apt has no source of the distribution's own packages on this machine")
        self._report("asking the distribution for its packages, about 10 MB")
        self._complaint = self._run("update", check=False)
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._watchdog.release_folder(self._folder)

    def _configure(self, etc: Path = Path("/etc/apt")) -> None:
        """Write apt's settings: the machine's, for its proxies, and then our own, which take precedence.

        apt reads ``APT_CONFIG`` first and a folder of settings next; so that folder is ours too.
        """
        parts = self._folder / "conf.d"
        parts.mkdir()
        settings = [etc / "apt.conf"]
        if (etc / "apt.conf.d").is_dir():
            settings += sorted((etc / "apt.conf.d").iterdir())
        for number, path in enumerate(settings):
            if path.is_file() and os.access(path, os.R_OK):
                shutil.copy(path, parts / f"{number:03}{path.name.replace('.', '_')}")
        own = {
            "Dir::State": self._folder,
            "Dir::State::Lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder,
            "Dir::Cache::archives": self._folder / "archives",
            "Dir::Cache::pkgcache": "pkgcache.bin",  # containers often turn these off; every call then parses again
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self._folder / "sources.d",
            "Dir::Log": self._folder,
            "Debug::NoLocking": "1",
            "APT::Sandbox::User": "root",  # as root; its usual other user cannot enter our folders
            "APT::Install-Recommends": "0",
            "APT::Get::AllowUnauthenticated": "0",  # some machines are configured to accept unsigned packages
            "Acquire::AllowInsecureRepositories": "0",
            "Acquire::AllowDowngradeToInsecureRepositories": "0",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            # Of another release an index that has expired will do: its signature says whose it is, and it may be old.
            **({"Acquire::Check-Valid-Until": "0"} if self._suite else {}),
        }
        # Hooks are for the machine's own state, and an ordinary user's would fail.
        hooks = ("APT::Update", "DPkg", "Binary::apt-get")
        lines = [f"#clear {hook};" for hook in hooks] + ["#clear Acquire::IndexTargets::deb::Contents-deb;"]
        lines += [f'{name} "{value}";' for name, value in own.items()]
        (parts / "999own").write_text("\n".join(lines) + "\n")
        (self._folder / "apt.conf").write_text(f'Dir::Etc::main "/dev/null";\nDir::Etc::parts "{parts}";\n')

    def closure(self, package: str) -> list[str]:
        """Return the names of everything a machine with nothing on it would install for a package, itself included."""
        text = self._run("install", "--simulate", package)
        return re.findall(r"^Inst (\S+)", text, re.MULTILINE)

    def unpack(self, names: Sequence[str], folder: Path) -> None:
        """Download packages and unpack them into a folder."""
        debs = self._folder / "debs"
        self._report(f"fetching {', '.join(names)}{self._size(names)}")
        self._run("download", *names, cwd=debs)
        for deb in sorted(debs.glob("*.deb")):
            done = self._watchdog.run(["dpkg-deb", "--extract", deb, folder])
            if done.returncode:
                raise MissingError(f"{deb.name} cannot be unpacked: {complaint(done.stderr)}")
            with (folder / "packages").open("a") as record:
                record.write(f"{deb.stem.replace('%3a', ':')}\n")
            deb.unlink()

    def _size(self, names: Sequence[str]) -> str:
        text = self._run("download", "--print-uris", *names, check=False)
        size = sum(int(number) for number in re.findall(r"^'[^']*' \S+ (\d+)", text, re.MULTILINE))
        return f", {size / 1e6:.1f} MB" if size else ""

    def _run(self, *arguments: str, check: bool = True, cwd: Path | None = None) -> str:
        command = ["apt-get", "--quiet=2", "--yes"]
        try:
            done = self._watchdog.run(
                [*command, *arguments],
                timeout=PATIENCE,
                cwd=cwd or self._folder,
                env={**os.environ, "LC_ALL": "C", "APT_CONFIG": str(self._folder / "apt.conf")},
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError(f"apt-get {arguments[0]} did not finish within {PATIENCE} s") from error
        if check and done.returncode:
            said = complaint(done.stderr)
            if self._complaint:  # then the lists are old or empty, and what follows fails for that reason
                raise MissingError(f"the distribution's packages cannot be reached: {self._complaint}")
            raise MissingError(f"apt-get {arguments[0]} failed: {said}")
        return done.stdout if check or arguments[0] != "update" else complaint(done.stderr)


def complaint(stderr: str) -> str:
    """Return the first error apt or dpkg gave, in one line, or an empty string; that nothing was fetched is one."""
    signs = ("E:", "W: Failed to fetch", "dpkg-deb: error:")
    lines = [line.partition(":")[2].strip() for line in stderr.splitlines() if line.startswith(signs)]
    return lines[0][:300] if lines else ""


def distribution_sources(etc: Path = Path("/etc/apt"), suite: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the distribution's own entries among apt's sources, as a file suffix and a file's text.

    With ``suite`` they name that release instead of this one.

    An entry is the distribution's if its suite is this release's, its components are the usual ones, and it
    is signed by the distribution's archive keyring or, as older systems have it, names no key.
    """
    files = [etc / "sources.list"]
    if (etc / "sources.list.d").is_dir():
        files += sorted((etc / "sources.list.d").iterdir())
    for file in files:
        if file.suffix not in (".list", ".sources") or not file.is_file():
            continue
        try:
            text = file.read_text()
        except OSError:
            continue
        if file.suffix == ".list":
            lines = [_for_suite(line, suite) for line in text.splitlines() if _own_line(line)]
            if lines := list(filter(None, lines)):
                yield ".list", "\n".join(lines) + "\n"
        else:
            for stanza in re.split(r"\n\s*\n", text):
                if _own_stanza(stanza):
                    lines = [_for_suite(line, suite) for line in stanza.strip("\n").splitlines()]
                    if all(lines):
                        yield ".sources", "\n".join(lines) + "\n"


def _own_line(line: str) -> bool:
    match = re.match(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)", line)
    if not match:
        return False
    options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
    return _own([match["suite"]], match["components"].split(), options.get("signed-by", ""))


def _own_stanza(stanza: str) -> bool:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
        "no",
        "false",
        "0",
    ):
        return False
    return _own(fields.get("suites", "").split(), fields.get("components", "").split(), fields.get("signed-by", ""))


def _for_suite(line: str, suite: str | None) -> str:
    """Return a line of a source with another release's name in place of this one's; addresses stay as they are.

    Empty if all that it named is a pocket, such as `-updates`, which the other release does not have.
    """
    if suite is None:
        return line
    words = re.split(r"(\s+)", line)
    pattern = re.compile(rf"(?:{'|'.join(map(re.escape, _release_names()))})({_POCKETS})")
    matches = [pattern.fullmatch(word) for word in words]
    if suite in ROLLING and any(matches):
        if all(match[1] for match in matches if match):
            return ""
        kept = [index for index, match in enumerate(matches) if not (match and match[1])]
        words, matches = [words[index] for index in kept], [matches[index] for index in kept]
    return "".join(suite + match[1] if match else word for word, match in zip(words, matches, strict=True))


_POCKETS = r"(?:-updates|-security|-backports|-proposed|-proposed-updates|/updates|-lts)*"


def _release_names() -> set[str]:
    """Return what this release may be called in a source."""
    release = os_release()
    return {release.get(f"{which}_CODENAME", "") for which in ("VERSION", "UBUNTU", "DEBIAN")} - {""} | ALIASES


def _own(suites: list[str], components: list[str], signed_by: str) -> bool:
    own_suite = all(
        any(re.fullmatch(re.escape(name) + _POCKETS, suite) for name in _release_names()) for suite in suites
    )
    keyring = Path(signed_by.split(",", maxsplit=1)[0].split(maxsplit=1)[0]).name if signed_by.split() else ""
    own_key = not keyring or "-archive" in keyring
    return bool(suites) and own_suite and bool(components) and set(components) <= COMPONENTS and own_key
