"""What we want to reach. Data: the report says of each whether the rows meet it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contenders.bare import Bare
from bench.contenders.ours import Ours
from bench.figures import Row, ratio_to, slope, values_of

OURS, BARE = Ours.name, Bare.name
Rows = list[Row]
Measure = Callable[[Rows], float | None]


@dataclass(frozen=True, slots=True)
class Target:
    """`measure` takes all rows; `at_most` or `at_least` bounds what it says."""

    what: str
    measure: Measure
    at_most: float | None = None
    at_least: float | None = None
    unit: str = "×"

    def is_met(self, value: float) -> bool:
        low = self.at_least is None or value >= self.at_least
        return low and (self.at_most is None or value <= self.at_most)

    @property
    def bound(self) -> str:
        sign, bound = ("≤", self.at_most) if self.at_most is not None else ("≥", self.at_least)
        return f"{sign} {bound:g}{self.unit if self.unit == '×' else ' ' + self.unit}".strip()


def _rows(rows: Rows, case: str, contender: str) -> Rows:
    return [row for row in rows if row["case"] == case and row["contender"] == contender and "figures" in row]


def _ratio(case: str, key: str) -> Measure:
    return lambda rows: ratio_to(_rows(rows, case, OURS), _rows(rows, case, BARE), key)


def _median(case: str, key: str, contender: str = OURS) -> Measure:
    def measure(rows: Rows) -> float | None:
        values = sorted(values_of(_rows(rows, case, contender), key))
        return values[len(values) // 2] if values else None

    return measure


def _worst(case: str, key: str) -> Measure:
    return lambda rows: max(values_of(_rows(rows, case, OURS), key), default=None)


def _against(case: str, key: str, peer: str) -> Measure:
    """Ours divided by a peer's."""
    ours, theirs = _median(case, key), _median(case, key, peer)

    def measure(rows: Rows) -> float | None:
        top, bottom = ours(rows), theirs(rows)
        return top / bottom if top is not None and bottom else None

    return measure


def _growth(key: str, case: str, smaller: str) -> Measure:
    """Ours at one size divided by ours at another."""
    large, small = _median(case, key), _median(smaller, key)

    def measure(rows: Rows) -> float | None:
        top, bottom = large(rows), small(rows)
        return top / bottom if top is not None and bottom else None

    return measure


def pss_per_process_kib(rows: Rows) -> float | None:
    """The slope over the sizes that were measured."""
    points = [
        (row["figures"]["count"], row["figures"]["pss_mib"] * 1024)
        for row in rows
        if row["case"].startswith("supervise-") and row["contender"] == OURS and "figures" in row
    ]
    return slope(points)


TARGETS = (
    Target("chain of 100 ÷ bare", _ratio("chain-100", "wall_s"), at_most=2),
    Target("chain of 1000 ÷ bare", _ratio("chain-1000", "wall_s"), at_most=2),
    Target("fan-out of 1000 ÷ bare", _ratio("fanout-1000", "wall_s"), at_most=2),
    Target("fan-out of 1000, 16 at a time ÷ bare", _ratio("fanout-1000-of-16", "wall_s"), at_most=2),
    Target("500 sleepers all up ÷ bare", _ratio("supervise-500", "up_s"), at_most=2),
    Target("PSS of everything of ours, 500 sleepers", _median("supervise-500", "pss_mib"), at_most=45, unit="MiB"),
    Target("PSS per further process", pss_per_process_kib, at_most=60, unit="KiB"),
    Target("idle CPU, 500 sleepers", _median("supervise-500", "idle_percent"), at_most=0.05, unit="%"),
    Target("kill -9 to replacement ÷ bare", _ratio("kill-one", "latency_ms"), at_most=3),
    Target("kill -9 to replacement ÷ runit", _against("kill-one", "latency_ms", "runit"), at_most=1),
    Target("restarts ÷ pm2", _against("restarts", "per_s", "pm2"), at_least=1),
    Target("restarts", _median("restarts", "per_s"), at_least=400, unit="per s"),
    Target("stop of 100 ÷ bare", _ratio("stop-100", "gone_ms"), at_most=4),
    Target("stop of 100 ÷ circus", _against("stop-100", "gone_ms", "circus"), at_most=1),
    Target("rotated log, 4 KiB writes ÷ bare pump", _ratio("log-rotate-4k", "mb_per_s"), at_least=0.9),
    Target("its CPU ÷ bare pump", _ratio("log-rotate-4k", "cpu_s_per_gb"), at_most=1),
    Target("rotated log, a write per line ÷ bare pump", _ratio("log-rotate-lines", "mb_per_s"), at_least=0.9),
    Target("file and console ÷ bare pump", _ratio("log-both-4k", "mb_per_s"), at_least=0.9),
    Target("plain file, CPU per GB", _median("log-file-4k", "cpu_s_per_gb"), at_most=0.01, unit="s"),
    Target("runner killed, task owned again", _worst("crash-runner", "owned_ms"), at_most=500, unit="ms"),
    Target("the same, duplicates", _worst("crash-runner", "duplicates"), at_most=0, unit=""),
    Target("the same, processes lost", _worst("crash-runner", "lost"), at_most=0, unit=""),
    Target("coordinator killed, replaced", _worst("crash-helper", "replaced_ms"), at_most=500, unit="ms"),
    Target("the same, copies", _worst("crash-helper", "copies"), at_most=1, unit=""),
    Target("thermos --help ÷ python -c pass", _ratio("help", "wall_ms"), at_most=4),
    Target("offers of 10,000 agents read ÷ json.loads", _ratio("mesos-offers-10000", "decode_ms"), at_most=1),
    Target(
        "an offer of 10,000 ÷ one of 1,000", _growth("each_us", "mesos-offers-10000", "mesos-offers-1000"), at_most=2
    ),
    Target("an agent of 30,000 simulated", _median("mesos-simulation-30000", "agent_kib"), at_most=10, unit="KiB"),
    Target(
        "an idle agent of 30,000 ÷ one of 1,000",
        _growth("idle_us", "mesos-simulation-30000", "mesos-simulation-1000"),
        at_most=3,
    ),
    Target("ACCEPT to TASK_RUNNING ÷ the kit's executor", _ratio("executor-start", "running_ms"), at_most=3),
    Target("the same on real Mesos", _ratio("executor-start-real", "running_ms"), at_most=3),
    *(
        Target(f"PSS per task, {n} on a host", _median(f"executor-memory-{n}", "pss_mib"), at_most=22, unit="MiB")
        for n in (1, 10, 50)
    ),
    *(
        Target(f"the same, announced, {n}", _median(f"executor-announced-{n}", "pss_mib"), at_most=32, unit="MiB")
        for n in (1, 10, 50)
    ),
    Target(
        "placements at 10,000 hosts, whole engine",
        _median("scheduler-engine-10000", "placements_per_s"),
        at_least=3000,
        unit="per s",
    ),
    Target(
        "a placement at 10,000 hosts ÷ one at 100",
        _growth("us_per_placement", "scheduler-engine-10000", "scheduler-engine-100"),
        at_most=1.5,
    ),
    Target(
        "the same, its core alone",
        _growth("us_per_placement", "scheduler-place-10000", "scheduler-place-100"),
        at_most=1.5,
    ),
    Target("a task of 100,000 that run", _median("scheduler-memory-100000", "kib_per_task"), at_most=3, unit="KiB"),
    Target("the same, read anew", _median("scheduler-restart-100000", "kib_per_task"), at_most=3, unit="KiB"),
    Target("an executor's further process", _median("executor-processes", "each_kib"), at_most=60, unit="KiB"),
)
