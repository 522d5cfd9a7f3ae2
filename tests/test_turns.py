"""Turns: so many cells compute at once, and one that only waits keeps no other from it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from matrix.run.workers import Turns


def test_no_more_compute_at_once_than_there_are_turns() -> None:
    turns, lock = Turns(2), threading.Lock()
    now, most = 0, 0

    def one(_: int) -> None:
        nonlocal now, most
        with turns.one():
            with lock:
                now += 1
                most = max(most, now)
            threading.Event().wait(0.001)
            with lock:
                now -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    assert most == 2


def test_another_computes_while_one_waits() -> None:
    turns, ended = Turns(1), threading.Event()

    def another() -> None:
        with turns.one():
            ended.set()

    with turns.one() as turn, ThreadPoolExecutor(1) as pool:
        future = pool.submit(another)
        assert not ended.wait(0.05)
        turn.lend()
        future.result(10)
        turn.take_back()
    assert ended.is_set()


def test_a_turn_that_is_taken_back_twice_or_never_is_one_turn() -> None:
    turns = Turns(1)
    for _ in range(3):
        with turns.one() as turn:
            turn.take_back()
            turn.lend()
            turn.lend()
    begun = threading.Event()

    def another() -> None:
        with turns.one():
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        with turns.one():
            future = pool.submit(another)
            assert not begun.wait(0.05)
        future.result(10)
