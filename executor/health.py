"""Drives the health checks of one task: when the next one is made, what it counts, and what is said of it.

    start --> check --> its end --> interval --> check --> ...     until unhealthy, or stopped

A check runs in a worker thread, never two at a time. One that hangs beyond its time counts as failed; as long as its
thread hangs no other is begun, and each check that is due meanwhile counts as failed, too. Whatever comes of the
hanging one at last is forgotten.

What counts is decided by `core/health_policy`. An executor that takes over after another one counts on from what that
one had written down (`former`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field, structs

from executor.core.health_policy import Health, HealthLimits, Verdict, after_check, before_check
from executor.probes import TIMED_OUT, Probe
from executor.snooze import DEFAULT_S, Nap, look_for_nap
from executor.workers import EventLoop, Workers
from thermos.clock import Now

#: What is said.
HEALTHY = "Task is healthy."
NO_CHECK = "No health-check defined, task is assumed healthy."
UNHEALTHY = "Failed health check! {}"

#: A check ends by itself at its time-out. So much later it counts as hanging.
SLACK_S = 5.0

#: How long a check may wait for a thread.
THREAD_WAIT_S = 60.0

#: Checks follow each other no quicker than this, whatever is configured.
LEAST_INTERVAL_S = 0.1

Report = Callable[[Verdict, str, Now], None]


class _Outcome(Struct, frozen=True):
    """What a check gave. While a nap lasts nothing is asked."""

    failure: str | None
    nap: Nap | None = None
    snoozed: bool = False


class _Totals(Struct):
    """Of this executor and the ones before it."""

    checks: int = 0
    failed: int = 0
    snoozed: int = 0
    timed_out: int = 0  # commands that were killed, and checks that hung
    latency_s: float = 0.0


class _Check(Struct):
    """The one that is being made."""

    number: int
    due: Now
    began: Now | None = None  # None: no thread has taken it yet
    over: bool = False  # counted already; only its thread is still busy


class _Last(Struct, frozen=True):
    at: float
    took_s: float
    result: str
    snoozed: bool


class _Book(Struct):
    """What is known, and shown."""

    health: Health = field(default_factory=Health)
    totals: _Totals = field(default_factory=_Totals)
    last: _Last | None = None
    nap: Nap | None = None  # what the snooze file says, if there is one
    snoozed: bool = False  # and whether that holds still


class HealthChecker:
    """Calls `report` in the loop, once for each new verdict; `say` gets what people should know besides."""

    def __init__(
        self,
        limits: HealthLimits,
        probe: Probe | None,
        loop: EventLoop,
        workers: Workers,
        report: Report,
        *,
        snooze: Path,
        snooze_max_s: float = DEFAULT_S,
        former: Mapping[str, Any] | None = None,
        say: Callable[[str, Now], None] | None = None,
    ) -> None:
        self._limits, self._probe = limits, probe
        self._loop, self._workers = loop, workers
        self._report, self._say = report, say
        self._snooze, self._snooze_max_s = snooze, snooze_max_s
        self._book = _read_former(former) if former is not None else _Book()
        self._said = Verdict.STARTING
        self._check: _Check | None = None
        self._numbers = 0
        self._stopped = False

    def start(self, now: Now) -> None:
        """The first check is made at once."""
        if self._probe is None:
            self._book.health = structs.replace(self._book.health, running=True)
        self._loop.post(self._tell)
        if self._probe is not None:
            self._tick(now)

    def stop(self, now: Now) -> None:
        """Nothing is reported any more; a check that is being made is called off."""
        if not self._stopped and self._probe is not None:
            self._probe.cancel()
        self._stopped = True

    def state(self) -> dict[str, Any]:
        """Plain data, for people and for the executor that comes after us."""
        book, health = self._book, self._book.health
        return {
            "verdict": str(health.verdict),
            "reason": health.reason,
            "attempts": health.attempts,
            "failures": health.failures,
            "successes": health.successes,
            "running": health.running,
            "unhealthy": health.unhealthy,
            "checked": self._probe is not None,
            "hanging": self._check is not None and self._check.over,
            "last": _plain(book.last) if book.last is not None else None,
            "snoozed": _plain(book.nap) if book.nap is not None and book.snoozed else None,
            "snooze_ignored": book.nap is not None and not book.snoozed,
            "totals": _plain(book.totals),
        }

    # --- when

    def _tick(self, now: Now) -> None:
        if self._stopped or self._book.health.unhealthy:
            return
        self._book.health = before_check(self._book.health, self._limits)
        if self._book.health.unhealthy:
            self._tell(now)
        elif self._check is not None:
            self._count(_Outcome(f"{TIMED_OUT} It still hangs."), now, now)
        else:
            self._begin(now)

    def _begin(self, now: Now) -> None:
        self._numbers += 1
        check = self._check = _Check(self._numbers, now)

        def work() -> _Outcome:
            self._loop.post(lambda began: self._on_began(check, began))
            return self._look(now.wall)

        self._workers.submit(work, lambda outcome, then: self._on_done(check, outcome, then))
        self._loop.call_at(now.mono + THREAD_WAIT_S, lambda then: self._on_no_thread(check, then))

    def _look(self, wall: float) -> _Outcome:
        """In the worker thread."""
        nap = look_for_nap(self._snooze, self._snooze_max_s)
        if nap is not None and wall < nap.until:
            return _Outcome(None, nap, snoozed=True)
        assert self._probe is not None
        return _Outcome(self._probe(), nap, snoozed=False)

    def _on_began(self, check: _Check, now: Now) -> None:
        assert self._probe is not None
        if check.over:
            return
        check.began = now
        self._loop.call_at(now.mono + self._probe.timeout_s + SLACK_S, lambda then: self._on_overdue(check, then))

    def _on_done(self, check: _Check, outcome: _Outcome | Exception, now: Now) -> None:
        self._check = None
        if check.over or self._stopped:
            return
        check.over = True
        if isinstance(outcome, Exception):
            self._count(_Outcome(f"Internal health check error: {outcome}"), check.began or check.due, now)
            return
        self._tell_of_nap(outcome, now)
        self._count(outcome, check.began or check.due, now)

    def _on_overdue(self, check: _Check, now: Now) -> None:
        self._give_up(check, TIMED_OUT, now)

    def _on_no_thread(self, check: _Check, now: Now) -> None:
        if check.began is None:
            self._give_up(check, f"Internal health check error: no thread was free for {THREAD_WAIT_S:g} s.", now)

    def _give_up(self, check: _Check, reason: str, now: Now) -> None:
        """Its thread may come back some day; the check is over."""
        if check.over or self._stopped:
            return
        check.over = True
        self._count(_Outcome(reason), check.began or check.due, now)

    # --- what it counts

    def _count(self, outcome: _Outcome, began: Now, now: Now) -> None:
        book, totals = self._book, self._book.totals
        took = max(0.0, now.mono - began.mono)
        totals.checks += 1
        totals.latency_s += took
        totals.failed += outcome.failure is not None
        totals.snoozed += outcome.snoozed
        totals.timed_out += (outcome.failure or "").startswith(TIMED_OUT)
        book.health = after_check(book.health, self._limits, outcome.failure)
        result = outcome.failure or ("snoozed" if outcome.snoozed else "healthy")
        book.last = _Last(began.wall, round(took, 6), result, outcome.snoozed)
        self._tell(now)
        if not book.health.unhealthy:
            self._loop.call_at(now.mono + max(self._limits.interval_s, LEAST_INTERVAL_S), self._tick)

    # --- what is said

    def _tell(self, now: Now) -> None:
        verdict = self._book.health.verdict
        if self._stopped or verdict is self._said:
            return
        self._said = verdict
        if verdict is Verdict.UNHEALTHY:
            self._report(verdict, UNHEALTHY.format(self._book.health.reason), now)
        elif verdict is Verdict.RUNNING:
            self._report(verdict, HEALTHY if self._probe is not None else NO_CHECK, now)

    def _tell_of_nap(self, outcome: _Outcome, now: Now) -> None:
        """Once that it began, once that it is over though its file is still there, once that the file has gone."""
        book = self._book
        before, book.nap, book.snoozed = (book.nap, book.snoozed), outcome.nap, outcome.snoozed
        if self._say is None or before == (book.nap, book.snoozed):
            return
        nap, name = outcome.nap, self._snooze.name
        if nap is None:
            self._say(f"{name} has gone: health is checked again", now)
        elif outcome.snoozed:
            self._say(f"health checks are snoozed by {name} for {nap.until - now.wall:.0f} s", now)
        else:
            self._say(f"{name} is ignored: its {nap.until - nap.since:.0f} s are over; write it again to snooze", now)


def _plain(record: Any) -> dict[str, Any]:
    return structs.asdict(record)


def _read_former(former: Mapping[str, Any]) -> _Book:
    """What a former executor's `state` tells; what can't be understood is left at its default."""

    def count(name: str) -> int:
        value = former.get(name)
        return value if type(value) is int and value >= 0 else 0

    health = Health(
        attempts=count("attempts"),
        failures=count("failures"),
        successes=count("successes"),
        running=former.get("running") is True,
        unhealthy=former.get("unhealthy") is True,
        reason=str(former.get("reason") or ""),
    )
    book = _Book(health)
    totals = former.get("totals")
    for name, value in totals.items() if isinstance(totals, Mapping) else ():
        if name in _Totals.__struct_fields__ and isinstance(value, int | float) and value >= 0:
            setattr(book.totals, name, value)
    return book
