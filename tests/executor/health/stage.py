"""A driver of health checks on a virtual clock: probes answer from a script, and nothing waits."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor.core.health_policy import HealthLimits, Verdict
from executor.health import HealthChecker
from thermos.clock import Now

WALL, MONO = 1_800_000_000.0, 5000.0


class Hangs(Exception):
    """The thread that called the probe stays in it."""


class Script:
    """A probe. "S": healthy, "F": not, "X": it raises, "H": it hangs until `release`; after the script's end "S".

    `took` seconds pass in each check."""

    def __init__(self, stage: Stage, answers: str, *, timeout_s: float = 1.0, took: float = 0.0) -> None:
        self.stage, self.answers, self.timeout_s, self.took = stage, deque(answers), timeout_s, took
        self.began: list[float] = []
        self.cancelled = 0

    def __call__(self) -> str | None:
        self.began.append(self.stage.mono - MONO)
        answer = self.answers.popleft() if self.answers else "S"
        if answer == "H":
            raise Hangs
        if answer == "X":
            raise RuntimeError("a bug")
        return None if answer == "S" else f"no {len(self.began)}"

    def cancel(self) -> None:
        self.cancelled += 1


class Stage:
    """Loop and workers in one. `threads` is how many pieces of work run at a time."""

    def __init__(self, sandbox: Path, threads: int = 1) -> None:
        self.sandbox = sandbox
        self.mono = MONO
        self.threads = threads
        self.busy = 0  # hanging threads
        self.most = 0  # checks at a time
        self.said: list[tuple[float, str, str]] = []
        self.notes: list[str] = []
        self.script: Script | None = None
        self._timers: list[tuple[float, int, Callable[[Now], None]]] = []
        self._posted: deque[Callable[[Now], None]] = deque()
        self._count = 0
        self._waiting: deque[tuple[Callable[[], Any], Callable[[Any, Now], None]]] = deque()
        self._hanging: deque[Callable[[Any, Now], None]] = deque()

    def make(self, answers: str | None, limits: HealthLimits | None = None, **more: Any) -> HealthChecker:
        known = {key: more.pop(key) for key in ("timeout_s", "took") if key in more}
        self.script = None if answers is None else Script(self, answers, **known)
        return HealthChecker(
            limits or HealthLimits(),
            self.script,
            self,
            self,  # type: ignore[arg-type]
            self._report,
            snooze=self.sandbox / ".healthchecksnooze",
            say=lambda text, now: self.notes.append(text),
            **more,
        )

    @property
    def now(self) -> Now:
        return Now(WALL + self.mono - MONO, self.mono)

    # --- the loop

    def post(self, call: Callable[[Now], None]) -> None:
        self._posted.append(call)

    def call_at(self, when: float, call: Callable[[Now], None]) -> None:
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, call))

    def advance(self, seconds: float) -> None:
        end = self.mono + seconds
        self._run_posted()
        while self._timers and self._timers[0][0] <= end:
            when, _, call = heapq.heappop(self._timers)
            self.mono = max(self.mono, when)
            call(self.now)
            self._run_posted()
        self.mono = max(self.mono, end)

    def _run_posted(self) -> None:
        while self._posted:
            self._posted.popleft()(self.now)

    # --- the workers

    def submit(self, work: Callable[[], Any], done: Callable[[Any, Now], None]) -> None:
        self._waiting.append((work, done))
        self.most = max(self.most, len(self._waiting) + self.busy)
        self.take_work()

    def take_work(self) -> None:
        while self._waiting and self.busy < self.threads:
            work, done = self._waiting.popleft()
            self._run(work, done)

    def _run(self, work: Callable[[], Any], done: Callable[[Any, Now], None]) -> None:
        try:
            outcome = work()
        except Hangs:
            self.busy += 1
            self._hanging.append(done)
            return
        except RuntimeError as error:
            outcome = error
        took = self.script.took if self.script is not None else 0.0
        if took:
            self.call_at(self.mono + took, lambda now: done(outcome, now))
        else:
            self.post(lambda now: done(outcome, now))

    def release(self) -> None:
        """Hanging threads come back, with something that nobody wants to know any more."""
        while self._hanging:
            done = self._hanging.popleft()
            self.busy -= 1
            done(RuntimeError("too late"), self.now)
        self.take_work()
        self._run_posted()

    # --- what it says

    def _report(self, verdict: Verdict, text: str, now: Now) -> None:
        self.said.append((now.mono - MONO, str(verdict), text))
