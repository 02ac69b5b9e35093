"""Threads for what blocks: probes, disk usage, ZooKeeper, images. They only work and post; the loop decides.

Threads are made when they are needed, and end with the process: nobody waits for one that hangs in a system call.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from thermos.clock import Now

T = TypeVar("T")


class EventLoop(Protocol):
    """What parts of the executor need of the loop (`thermos.host.loop.PlainLoop`)."""

    def post(self, call: Callable[[Now], None]) -> None:
        """From any thread: run it in the loop."""

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        """Run it once, at `when` (mono). It can't be called off: what comes too late has to see that itself."""


class Workers:
    """At most `size` pieces of work at a time; more wait in line."""

    def __init__(self, loop: EventLoop, size: int = 2) -> None:
        self._loop = loop
        self._size = size
        self._line: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)

    def submit(self, work: Callable[[], T], done: Callable[[T | Exception, Now], None]) -> None:
        """Run `work` in a thread, then `done` with what it gave (or raised) in the loop."""

        def run() -> None:
            outcome: T | Exception
            try:
                outcome = work()
            except Exception as error:  # the rim of a thread: it becomes an event
                outcome = error
            self._loop.post(lambda now: done(outcome, now))

        self._line.put(run)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name=f"worker-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        while True:
            self._line.get()()
            self._idle.release()
