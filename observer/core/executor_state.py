"""What an executor writes of itself into `executor.json`, read strictly and bounded, and turned into words.

Source: executor/state_file.py; docs/executor.md.
"""

from __future__ import annotations

import msgspec

from observer.core.source import LAST_MOMENT
from observer.core.views import AnnouncedView, DiskView, ExecutorView, HealthView

VERSION = 1

#: Characters of what an executor says; statuses and reasons of checks may quote a task.
MAX_TEXT = 400


class Outcome(msgspec.Struct, frozen=True):
    state: str
    message: str = ""


class LastCheck(msgspec.Struct, frozen=True):
    at: float = 0.0
    took_s: float = 0.0
    result: str = ""
    snoozed: bool = False


class Nap(msgspec.Struct, frozen=True):
    since: float = 0.0
    until: float = 0.0


class Totals(msgspec.Struct, frozen=True):
    checks: int = 0
    failed: int = 0
    snoozed: int = 0
    timed_out: int = 0
    latency_s: float = 0.0


class HealthState(msgspec.Struct, frozen=True):
    verdict: str = ""
    reason: str = ""
    attempts: int = 0
    failures: int = 0
    checked: bool = True
    hanging: bool = False
    last: LastCheck | None = None
    snoozed: Nap | None = None
    totals: Totals = Totals()


class AnnouncerState(msgspec.Struct, frozen=True):
    state: str = ""
    since: float = 0.0
    path: str = ""
    node: str | None = None
    paused: bool = False
    disconnected_s: float | None = None
    problem: str | None = None
    failures: int = 0
    joined: int = 0
    lost: int = 0


class DiskState(msgspec.Struct, frozen=True):
    limit_bytes: int = 0
    used_bytes: int | None = None
    at: float | None = None
    problem: str | None = None


class DriverState(msgspec.Struct, frozen=True):
    phase: str = ""
    problem: str | None = None
    attempts: int = 0
    subscriptions: int = 0
    unacknowledged_updates: int = 0


class ExecutorState(msgspec.Struct, frozen=True):
    """The file. Members that are not known here are passed over."""

    version: int
    phase: str = ""
    since: float = 0.0
    pid: int | None = None
    task_id: str | None = None
    outcome: Outcome | None = None
    health: HealthState | None = None
    announcer: AnnouncerState | None = None
    disk: DiskState | None = None
    driver: DriverState = DriverState()
    trouble: str = ""


_DECODER = msgspec.json.Decoder(ExecutorState)


def parse_executor_state(data: bytes) -> ExecutorState:
    """Raises ValueError with what is wrong."""
    try:
        state = _DECODER.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"it can't be understood: {error}") from error
    if state.version != VERSION:
        raise ValueError(f"it is of version {state.version}; version {VERSION} is known here")
    return state


def executor_view(state: ExecutorState, written_at: float) -> ExecutorView:
    outcome, driver = state.outcome, state.driver
    return ExecutorView(
        phase=_text(state.phase, 40),
        since=_moment(state.since),
        pid=state.pid if state.pid is not None and 0 < state.pid < 2**31 else 0,
        outcome=_text(outcome.state, 40) if outcome is not None else "",
        message=_text(outcome.message) if outcome is not None else "",
        health=_health(state.health) if state.health is not None else None,
        announced=_announced(state.announcer) if state.announcer is not None else None,
        disk=_disk(state.disk) if state.disk is not None else None,
        agent=_text(driver.phase, 40),
        agent_problem=_text(driver.problem or ""),
        unacknowledged=_count(driver.unacknowledged_updates),
        trouble=_text(state.trouble),
        written_at=_moment(written_at),
    )


def _health(state: HealthState) -> HealthView:
    last, nap, totals = state.last, state.snoozed, state.totals
    return HealthView(
        word=health_word(state),
        verdict=_text(state.verdict, 40),
        reason=_text(state.reason),
        checked=state.checked,
        hanging=state.hanging,
        attempts=_count(state.attempts),
        failures=_count(state.failures),
        last_at=_moment(last.at) if last is not None else 0.0,
        last_took=_seconds(last.took_s) if last is not None else None,
        last_result=_text(last.result) if last is not None else "",
        snoozed_since=_moment(nap.since) if nap is not None else 0.0,
        snoozed_until=_moment(nap.until) if nap is not None else 0.0,
        checks=_count(totals.checks),
        failed=_count(totals.failed),
        timed_out=_count(totals.timed_out),
        latency=_seconds(totals.latency_s),
    )


def health_word(state: HealthState) -> str:
    """One word, or two, for lists."""
    if not state.checked:
        return ""
    if state.verdict == "unhealthy":
        return "unhealthy"
    if state.snoozed is not None:
        return "snoozed"
    if state.failures > 0:
        return "failing"
    return {"running": "healthy", "starting": "starting"}.get(state.verdict, "")


def _announced(state: AnnouncerState) -> AnnouncedView:
    return AnnouncedView(
        announced=state.state == "joined",
        state=_text(state.state, 40),
        since=_moment(state.since),
        path=_text(state.path),
        node=_text(state.node or ""),
        held_back=state.paused,
        problem=_text(state.problem or ""),
        disconnected=_seconds(state.disconnected_s or 0.0),
        joined=_count(state.joined),
        lost=_count(state.lost),
    )


def _disk(state: DiskState) -> DiskView:
    used = state.used_bytes
    return DiskView(
        limit=_count(state.limit_bytes),
        used=_count(used) if used is not None else None,
        at=_moment(state.at or 0.0),
        problem=_text(state.problem or ""),
    )


def _text(text: str, most: int = MAX_TEXT) -> str:
    """One line, not too long."""
    line = " ".join(text[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _moment(at: float) -> float:
    return at if 0.0 < at <= LAST_MOMENT else 0.0


def _seconds(value: float) -> float:
    return value if 0.0 <= value < 1e10 else 0.0


def _count(value: int) -> int:
    return value if 0 <= value < 2**53 else 0
