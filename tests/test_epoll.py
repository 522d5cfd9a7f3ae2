"""What the asyncio examples rest on: a fork shares an epoll instance, and what a child closes is taken out of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from example_support import epoll

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")


def in_child(work: Callable[[], object]) -> None:
    """Do some work in a forked process, and wait for it."""
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0


async def transport(end: socket.socket) -> asyncio.Transport:
    made, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=end)
    return made


def watched_after(work: Callable[[asyncio.Transport], object]) -> bool:
    """Whether the parent's loop still watches a socket after a child has done something to its transport."""

    async def fork() -> bool:
        ours, theirs = socket.socketpair()
        with theirs:
            made = await transport(ours)
            await asyncio.sleep(0)
            number = made.get_extra_info("socket").fileno()
            assert epoll.watched(number)
            in_child(lambda: work(made))
            try:
                return epoll.watched(number)
            finally:
                made.close()

    return asyncio.run(fork())


def test_a_descriptor_is_watched_from_when_it_is_added_until_it_is_taken_out() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, select.epoll() as instance:
        number = instance.fileno()
        assert number in epoll.instances()
        assert not epoll.watched(ours.fileno())
        instance.register(ours, select.EPOLLIN)
        assert epoll.watched(ours.fileno())
        assert not epoll.watched(theirs.fileno())
        instance.unregister(ours)
        assert not epoll.watched(ours.fileno())
    assert number not in epoll.instances()


def test_a_transport_that_a_child_closes_is_taken_out_of_its_parents_epoll_instance() -> None:
    assert not watched_after(lambda made: made.close())
    assert not watched_after(lambda made: made.abort())


def test_a_transport_that_a_child_leaves_alone_stays_in_it() -> None:
    assert watched_after(lambda made: None)


def test_a_descriptor_of_an_epoll_instance_that_a_child_replaces_takes_nothing_out() -> None:
    def leave_and_close(made: asyncio.Transport) -> None:
        for number in epoll.instances():
            with select.epoll() as own:
                os.dup2(own.fileno(), number, inheritable=False)
        made.close()

    assert watched_after(leave_and_close)


def test_a_socket_that_a_child_has_redirected_is_not_taken_out() -> None:
    def discard_and_close(made: asyncio.Transport) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, made.get_extra_info("socket").fileno())
        made.close()

    assert watched_after(discard_and_close)


def test_a_loop_that_a_child_closes_is_woken_in_its_parent_by_timers_alone() -> None:
    async def timers_before_thread() -> int:
        fired: list[int] = []
        timer = asyncio.get_running_loop().call_later(1, fired.append, 1)
        await asyncio.to_thread(time.sleep, 0.2)  # the loop is waiting by then
        timer.cancel()
        return len(fired)

    def close_in_child() -> None:
        runner = asyncio.Runner()
        assert runner.run(timers_before_thread()) == 0
        in_child(runner.close)
        assert runner.run(timers_before_thread()) == 1
        os._exit(0)  # the loop cannot be closed: that waits for its threads, which cannot wake it

    in_child(close_in_child)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_child_takes_the_socket_out_by_epoll_ctl(tmp_path: Path) -> None:
    program = """
import asyncio, os, socket

async def main():
    ours, theirs = socket.socketpair()
    made, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    await asyncio.sleep(0)
    pid = os.fork()
    if pid == 0:
        made.close()
        os._exit(0)
    os.waitpid(pid, 0)
    print(pid, made.get_extra_info("socket").fileno())
    os._exit(0)

asyncio.run(main())
"""
    log = tmp_path / "log"
    command = ["strace", "-f", "-e", "trace=epoll_ctl", "-o", str(log), sys.executable, "-c", program]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    if done.returncode and "ptrace" in done.stderr:
        pytest.skip("processes cannot be traced here")
    pid, number = done.stdout.split()
    calls = [line for line in log.read_text().splitlines() if line.startswith(pid)]
    assert any(f"EPOLL_CTL_DEL, {number}," in call and call.endswith("= 0") for call in calls), calls
