"""When a task counts as running and when it counts as unhealthy: the arithmetic of health check attempts.

The grace period is counted in attempts, not seconds: `forgiven = ceil(initial_interval / interval)`. The first check is
made at once, each further one `interval` seconds after the one before has ended.

    attempt <= forgiven           a failure is forgotten, even one after the task was running
    later, not yet running        at most `forgiven + max_failures + min_successes` attempts lead to running (one more
                                  is made before the verdict); a failure after which the successes that are needed
                                  don't fit any more is the end at once
    any time later                more than max_failures failures in a row are the end

Once running, always running; once unhealthy, for good. While checks are snoozed each counts as a success.

Source: spec/thermos.md §4.5, with its worked cases as the test table.
"""

from __future__ import annotations

import math
from enum import StrEnum

from msgspec import Struct, structs


class Verdict(StrEnum):
    """What the checks say of the task."""

    STARTING = "starting"
    RUNNING = "running"
    UNHEALTHY = "unhealthy"


#: Why a task is unhealthy that never had its successes together.
TOO_LATE = "Not enough successful health checks in time."


class HealthLimits(Struct, frozen=True):
    """As configured; intervals in seconds."""

    initial_interval_s: float = 15.0
    interval_s: float = 10.0
    max_failures: int = 0
    min_successes: int = 1

    @property
    def forgiven(self) -> int:
        """Attempts whose failure does not count."""
        return math.ceil(self.initial_interval_s / self.interval_s) if self.interval_s > 0 else 0

    @property
    def attempts_to_running(self) -> int:
        return self.forgiven + self.max_failures + self.min_successes


class Health(Struct, frozen=True):
    """What was counted so far. `reason` says why it is unhealthy."""

    attempts: int = 0
    failures: int = 0  # in a row, those that count
    successes: int = 0  # in a row
    running: bool = False
    unhealthy: bool = False
    reason: str = ""

    @property
    def verdict(self) -> Verdict:
        if self.unhealthy:
            return Verdict.UNHEALTHY
        return Verdict.RUNNING if self.running else Verdict.STARTING


def before_check(health: Health, limits: HealthLimits) -> Health:
    """To be asked before each check: it may be too late for one."""
    if not health.unhealthy and not health.running and health.attempts > limits.attempts_to_running:
        return structs.replace(health, unhealthy=True, reason=TOO_LATE)
    return health


def after_check(health: Health, limits: HealthLimits, failure: str | None) -> Health:
    """A check was made; `failure` says why it failed, None: it did not."""
    if health.unhealthy:
        return health
    if health.attempts <= limits.attempts_to_running:
        health = structs.replace(health, attempts=health.attempts + 1)
    if failure is None:
        return _succeeded(health, limits)
    return _failed(health, limits, failure)


def _succeeded(health: Health, limits: HealthLimits) -> Health:
    successes = health.successes + 1
    running = health.running or successes >= limits.min_successes
    return structs.replace(health, successes=successes, failures=0, running=running)


def _failed(health: Health, limits: HealthLimits, failure: str) -> Health:
    health = structs.replace(health, successes=0)
    if health.attempts <= limits.forgiven:
        return health
    health = structs.replace(health, failures=health.failures + 1)
    remaining = limits.attempts_to_running - health.attempts
    hopeless = not health.running and remaining > 1 and limits.min_successes > remaining
    if hopeless or health.failures > limits.max_failures:
        return structs.replace(health, unhealthy=True, reason=failure)
    return health
