"""The small loop of this project: one selector, signals as events, timers. `thermos run` and the executor use it.

Nothing polls: it sleeps until a descriptor is ready, a signal has come, or a `next_wake` (or somebody's `call_at`) is
due. Worker threads may `post` a call; it runs in the loop.

`PlainLoop` runs until it is stopped, and drives whatever it was given: an executor has a loop before it has a task to
run, and still has one afterwards. `Loop` drives one runner and ends with it.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from thermos.clock import Now

Call = Callable[[Now], None]


class Driven(Protocol):
    """What a loop can drive; a `Runner` is one."""

    done: bool
    next_wake: float | None

    def fileno(self) -> int: ...
    def on_ready(self, now: Now) -> None: ...
    def on_timer(self, now: Now) -> None: ...


class PlainLoop:
    """Runs until `stop`."""

    def __init__(self, clock: Callable[[], Now]) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._driven: dict[int, Driven] = {}  # by descriptor
        self._timers: list[tuple[float, int, Call]] = []
        self._counter = 0
        self._posted: deque[Call] = deque()
        self._stopped = False
        self._waker, self._wakee = socket.socketpair()
        self._waker.setblocking(False)
        self._wakee.setblocking(False)
        self._selector.register(self._wakee, selectors.EVENT_READ, self._on_wake)
        self._on_signal: dict[int, Call] = {}
        self.on_turn: Call | None = None  # called after each turn of the loop, for whoever shows what happened

    def drive(self, driven: Driven) -> None:
        """Until it is done."""
        if driven.done:  # taking it over may have been all there was to do
            return
        fd = driven.fileno()
        self._selector.register(fd, selectors.EVENT_READ, driven.on_ready)
        self._driven[fd] = driven

    def add_reader(self, fd: int, call: Call) -> None:
        self._drop_done()  # the number of a closed descriptor may be in use again
        self._selector.register(fd, selectors.EVENT_READ, call)

    def remove_reader(self, fd: int) -> None:
        self._selector.unregister(fd)

    def call_at(self, when: float, call: Call) -> None:
        """Once, at `when` (mono)."""
        self._counter += 1
        heapq.heappush(self._timers, (when, self._counter, call))

    def post(self, call: Call) -> None:
        """From any thread: run `call` in the loop."""
        self._posted.append(call)
        with contextlib.suppress(OSError):  # it is awake anyway, or closed
            self._waker.send(b"\0")

    def stop(self) -> None:
        """`run` returns after this turn."""
        self._stopped = True

    @contextlib.contextmanager
    def signals(self, calls: dict[int, Call]) -> Iterator[None]:
        """While inside, these signals are calls in the loop; afterwards everything is as before."""
        self._on_signal = calls
        old_fd = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        old = {signum: signal.signal(signum, _ignore) for signum in calls}
        try:
            yield
        finally:
            for signum, handler in old.items():
                signal.signal(signum, handler)
            signal.set_wakeup_fd(old_fd)
            self._on_signal = {}

    def run(self) -> None:
        """Until it is over."""
        while not self._is_over():
            for key, _ in self._selector.select(self._timeout()):
                if self._is_over():
                    break
                key.data(self._clock())
                self._drop_done()
            self._run_due()
            if self.on_turn is not None:
                self.on_turn(self._clock())
        self._run_posted(self._clock())

    def close(self) -> None:
        self._selector.close()
        self._waker.close()
        self._wakee.close()

    def _is_over(self) -> bool:
        return self._stopped

    def _drop_done(self) -> None:
        for fd in [fd for fd, driven in self._driven.items() if driven.done]:
            del self._driven[fd]
            self._selector.unregister(fd)

    def _timeout(self) -> float | None:
        wakes = [self._timers[0][0]] if self._timers else []
        wakes += [driven.next_wake for driven in self._driven.values() if driven.next_wake is not None]
        return max(0.0, min(wakes) - self._clock().mono) if wakes else None

    def _run_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now.mono:
            heapq.heappop(self._timers)[2](now)
        for driven in list(self._driven.values()):
            wake = driven.next_wake
            if not driven.done and wake is not None and wake <= now.mono:
                driven.on_timer(now)
        self._drop_done()

    def _on_wake(self, now: Now) -> None:
        """Bytes from the signal module are signal numbers, ours are zero."""
        try:
            data = os.read(self._wakee.fileno(), 4096)
        except BlockingIOError:
            return
        for signum in data:
            call = self._on_signal.get(signum)
            if call is not None:
                call(now)
        self._run_posted(now)

    def _run_posted(self, now: Now) -> None:
        """Those that are there; what comes meanwhile has its own wake, so that a flood of posts starves nobody."""
        for _ in range(len(self._posted)):
            self._posted.popleft()(now)


class Loop(PlainLoop):
    """Drives one runner until it is done."""

    def __init__(self, runner: Driven, clock: Callable[[], Now]) -> None:
        super().__init__(clock)
        self.runner = runner
        self.drive(runner)

    def _is_over(self) -> bool:
        """A call may have ended the runner, and closed what the others would read."""
        return self._stopped or self.runner.done


def _ignore(signum: int, frame: object) -> None:
    """The wakeup descriptor carries the signal; the handler has nothing to do."""
