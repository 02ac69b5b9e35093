"""A loop without a runner: runs until it is stopped, and drives what comes and goes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from thermos.clock import Now, now
from thermos.host.loop import PlainLoop


@pytest.fixture
def loop() -> Iterator[PlainLoop]:
    loop = PlainLoop(now)
    yield loop
    loop.close()


class Pipe:
    """Something to drive: done when "end" is read; wants to be woken when a test says so."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self.done = False
        self.next_wake: float | None = None
        self.heard: list[bytes] = []
        self.wakes = 0

    def fileno(self) -> int:
        return self.reader

    def on_ready(self, now: Now) -> None:
        self.heard.append(os.read(self.reader, 100))
        if self.heard[-1] == b"end":
            self.close()

    def on_timer(self, now: Now) -> None:
        self.wakes += 1
        self.next_wake = None

    def close(self) -> None:
        if not self.done:
            self.done = True
            self.next_wake = None
            os.close(self.reader)
            os.close(self.writer)


def test_it_runs_until_it_is_stopped(loop: PlainLoop) -> None:
    seen: list[str] = []
    loop.call_at(now().mono + 0.01, lambda _: seen.append("timer"))
    loop.call_at(now().mono + 0.02, lambda _: loop.stop())
    loop.post(lambda _: seen.append("post"))
    loop.run()
    assert seen == ["post", "timer"]


def test_another_thread_can_stop_it(loop: PlainLoop) -> None:
    thread = threading.Thread(target=lambda: loop.post(lambda _: loop.stop()))
    thread.start()
    loop.run()
    thread.join()


def test_what_it_drives_comes_and_goes(loop: PlainLoop) -> None:
    first, second = Pipe(), Pipe()
    loop.drive(first)
    loop.drive(second)
    os.write(first.writer, b"hello")
    second.next_wake = now().mono + 0.01

    def turn(_: Now) -> None:
        if first.heard == [b"hello"] and second.wakes and not first.done:
            os.write(first.writer, b"end")
        elif first.done and not second.done:
            os.write(second.writer, b"end")
        elif second.done:
            loop.stop()

    loop.on_turn = turn
    loop.run()
    assert first.done and second.done and second.wakes == 1


def test_what_is_done_on_arrival_is_not_driven(loop: PlainLoop) -> None:
    pipe = Pipe()
    pipe.close()
    loop.drive(pipe)
    loop.post(lambda _: loop.stop())
    loop.run()


def test_the_number_of_a_closed_descriptor_can_be_used_again(loop: PlainLoop) -> None:
    first = Pipe()
    loop.drive(first)
    number = first.reader
    heard: list[bytes] = []

    def reopen(_: Now) -> None:
        first.close()
        other, writer = os.pipe()
        if other != number:
            os.dup2(other, number)
            os.close(other)
        loop.add_reader(number, read)
        os.write(writer, b"x")
        os.close(writer)

    def read(_: Now) -> None:
        heard.append(os.read(number, 10))
        loop.stop()

    loop.post(reopen)
    loop.run()
    assert heard == [b"x"]
    loop.remove_reader(number)
    os.close(number)


def test_posts_that_post_starve_nobody(loop: PlainLoop) -> None:
    """A thread that floods the loop doesn't hold up its timers."""
    count = 0

    def again(_: Now) -> None:
        nonlocal count
        count += 1
        loop.post(again)

    def look(moment: Now) -> None:
        if count > 10:
            loop.stop()
        else:
            loop.call_at(moment.mono + 0.01, look)

    loop.post(again)
    loop.call_at(now().mono, look)
    loop.run()
    assert count > 10


def test_a_post_after_the_end_is_no_harm(loop: PlainLoop) -> None:
    loop.close()
    loop.post(lambda _: None)
