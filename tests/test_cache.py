"""The cache: whole entries or none, damage noticed, several processes at once, and one line when it cannot be used."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from matrix.errors import MatrixError
from matrix.provision import cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from pathlib import Path


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_one(folder: Path) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "program").write_text("one")
    (folder / "link").symlink_to("bin/program")


def never(folder: Path) -> None:
    pytest.fail("a sound entry was made again")


def contents(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if not path.name.endswith(".lock")}


def test_an_entry_is_made_once() -> None:
    assert cache.find("entry") is None
    made = cache.entry("entry", write_one)
    assert (made / "link").read_text() == "one"
    assert cache.entry("entry", never) == made
    assert cache.find("entry") == made


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "additional", "link", "manifest"])
def test_a_damaged_entry_is_made_again(damage: str) -> None:
    made = cache.entry("entry", write_one)
    program = made / "bin" / "program"
    match damage:
        case "cut":
            program.write_text("o")
        case "changed":
            program.write_text("two")  # as long as before: the contents are compared
        case "missing":
            program.unlink()
        case "additional":
            (made / "bin" / "other").touch()
        case "link":
            (made / "link").unlink()
            (made / "link").symlink_to("bin/../bin/program")
        case "manifest":
            (made / cache.MANIFEST).write_text("{")
    assert cache.find("entry") is None
    assert (cache.entry("entry", write_one) / "bin" / "program").read_text() == "one"


def test_a_touched_entry_is_sound() -> None:
    made = cache.entry("entry", write_one)
    os.utime(made / "bin" / "program", (1, 1))  # as after a restored archive
    assert cache.find("entry") == made


def test_nothing_stays_of_an_entry_that_was_not_finished(place: Path) -> None:
    def fail(folder: Path) -> None:
        write_one(folder)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.entry("entry", fail)
    assert contents(place) == set()


def test_leftovers_of_a_killed_process_are_removed(place: Path) -> None:
    (place / ".entry.part" / "entry").mkdir(parents=True)
    cache.entry("entry", write_one)
    assert contents(place) == {"entry"}


def begin(pipe: Connection) -> None:
    def fill(folder: Path) -> None:
        write_one(folder)
        pipe.send("begun")
        time.sleep(100)

    cache.entry("slow-1.0", fill)


@pytest.fixture
def other_process() -> Iterator[BaseProcess]:
    """A process that is making an entry, and comes to no end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=begin, args=(theirs,))
    process.start()
    assert ours.recv() == "begun"
    yield process
    process.kill()
    process.join()


def test_a_sweep_removes_what_killed_processes_left_and_nothing_else(place: Path, other_process: BaseProcess) -> None:
    cache.entry("entry", write_one)
    cache.sweep()
    assert contents(place) == {"entry", ".slow-1.0.part"}
    other_process.kill()
    other_process.join()
    cache.sweep()
    assert contents(place) == {"entry"}


@pytest.mark.usefixtures("other_process")
def test_waiting_for_another_process_can_be_cancelled() -> None:
    began = time.monotonic()
    with pytest.raises(cache.CacheError):
        cache.entry("slow-1.0", never, cancelled=lambda: time.monotonic() > began + 0.1)


def test_bytes_that_were_flipped_are_noticed_even_if_size_and_time_are_as_before() -> None:
    program = cache.entry("entry", write_one) / "bin" / "program"
    status = program.stat()
    program.write_text("eno")
    os.utime(program, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.find("entry") is None


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_the_umask_decides_nothing(umask: int, tmp_path: Path) -> None:
    previous = os.umask(umask)
    try:
        public = cache.entry("public", write_one)
        private = cache.entry("private", write_one, private=True)
        cache.copy(public, tmp_path / "copy")
    finally:
        os.umask(previous)
    assert cache.open_to_all(public) == cache.open_to_all(tmp_path)
    for place in (public, tmp_path / "copy"):
        assert [stat.S_IMODE((place / path).stat().st_mode) for path in ("", "bin", "bin/program")] == [
            0o755,
            0o755,
            0o644,
        ]
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_full_disk_is_one_line_and_leaves_nothing(place: Path) -> None:
    def fill(folder: Path) -> None:
        write_one(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(cache.CacheError, match=r"full.*MATRIX_CACHE"):
        cache.entry("entry", fill)
    assert contents(place) == set()


def test_a_cache_that_is_a_file_is_one_line(place: Path) -> None:
    place.touch()
    with pytest.raises(cache.CacheError, match="not a folder") as caught:
        cache.entry("entry", write_one)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_one_line_and_what_is_in_it_is_used(place: Path) -> None:
    made = cache.entry("entry", write_one)
    place.chmod(0o555)
    try:
        assert cache.entry("entry", never) == made
        with pytest.raises(cache.CacheError, match=r"cannot be written.*MATRIX_CACHE"):
            cache.entry("other", write_one)
    finally:
        place.chmod(0o755)


def slow(folder: Path) -> None:
    time.sleep(0.2)
    (folder / "maker").write_text(str(os.getpid()))


def make(_: int) -> str:
    return (cache.entry("entry", slow) / "maker").read_text()


def test_processes_that_want_the_same_entry_make_it_once() -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert len(set(pool.map(make, range(3), chunksize=1))) == 1


def test_a_discarded_entry_is_made_again(place: Path) -> None:
    cache.entry("entry", write_one)
    cache.discard("entry")
    assert contents(place) == set()
    cache.entry("entry", write_one)


def test_entries_are_readable_to_all_unless_private() -> None:
    def fill(folder: Path) -> None:
        (folder / "secret").touch(mode=0o600)

    assert (cache.entry("public", fill) / "secret").stat().st_mode & 0o777 == 0o644
    assert (cache.entry("private", fill, private=True) / "secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("link", [False, True])
def test_a_copy_is_the_same_tree_without_the_manifest(tmp_path: Path, link: bool) -> None:
    made = cache.entry("entry", write_one)
    cache.copy(made, tmp_path / "copy", link=link)
    assert {str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*")} == {
        "bin",
        "bin/program",
        "link",
    }
    assert ((tmp_path / "copy" / "link").stat().st_nlink > 1) == link


def test_the_folder_of_root_is_one_its_servers_can_enter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "closed" / "cache"))
    (tmp_path / "closed").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert cache.folder() == cache.SYSTEM
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cache.folder() == tmp_path / "closed" / "cache" / cache.NAME


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number alone."""

    def no_user(uid: int) -> object:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", cache.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_user)
    with pytest.raises(cache.CacheError, match=r"no home folder: set MATRIX_CACHE"):
        cache.entry("entry", write_one)
    assert cache.find("entry") is None
    cache.sweep()


def test_messages_are_one_line() -> None:
    assert str(MatrixError("a\n  b")) == "a b"
