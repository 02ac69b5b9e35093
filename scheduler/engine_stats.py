"""What the engine counts, for pages and metrics. How many tasks are in which state the tables say.

Counters count decisions: one whose turn could not be committed is counted, and counted again when it is taken anew.

Source: spec/scheduler.md §9.4.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

#: Upper bounds in seconds; one more bucket holds all that took longer.
LATENCY_BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)


@dataclass(slots=True)
class Histogram:
    """`counts` has one more number than `bounds`; they do not include each other."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    count: int = 0
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.count += 1
        self.total += value


@dataclass(slots=True)
class EngineStats:
    # states of tasks
    tasks_inserted: int = 0
    tasks_rescheduled: int = 0
    tasks_throttled: int = 0
    throttled_ms: int = 0  # all penalties together
    tasks_pruned: int = 0
    tasks_partitioned: int = 0
    partition_timeouts: int = 0
    timed_out_tasks: int = 0
    kills: int = 0  # told, of all kinds; retries are among them
    kill_retries: int = 0
    zombie_kills: int = 0
    illegal_transitions: int = 0
    # what Mesos says
    status_updates: Counter[tuple[str, str]] = field(default_factory=Counter)  # (reason, result)
    reregistrations: int = 0
    disconnects: int = 0
    lost_agents: int = 0
    # placement
    attempts_fired: int = 0
    attempts_failed: int = 0  # placed nothing
    attempts_no_match: int = 0  # left tasks over
    tasks_assigned: int = 0
    launch_failures: int = 0
    latency_s: Histogram = field(default_factory=lambda: Histogram(LATENCY_BOUNDS_S))  # PENDING to ASSIGNED
    # hosts that refused a group, whenever its reasons were counted: by kind of veto, and by group of kinds
    vetoes: Counter[str] = field(default_factory=Counter)
    veto_groups: Counter[str] = field(default_factory=Counter)
    # offers
    offers_received: int = 0
    offers_declined: int = 0
    offers_rescinded: int = 0
    rescinded_before_offered: int = 0
    inverse_offers: int = 0
    # asking the master
    explicit_reconciliations: int = 0
    implicit_reconciliations: int = 0
    # updates
    update_transitions: Counter[str] = field(default_factory=Counter)  # by status
    update_instance_transitions: Counter[str] = field(default_factory=Counter)  # by action
    update_errors: int = 0
    updates_pruned: int = 0
    sla_kill_attempts: int = 0
    sla_kill_successes: int = 0
    # turns that were taken back
    rebuilds: int = 0
