"""All cases, in the order of the report."""

from __future__ import annotations

from bench.cases import batch, commands, crash, executor, keeping, logs, mesos, scheduler
from bench.cases.base import Case

CASES: list[Case] = [
    *batch.CASES, *keeping.CASES, *logs.CASES, *crash.CASES, *commands.CASES, *mesos.CASES, *executor.CASES,
    *scheduler.CASES,
]  # fmt: skip


def choose(names: list[str]) -> list[Case]:
    """Those with these names, or whose names begin so; no names: all. Raises ValueError for a name that fits none."""
    exact = {case.name for case in CASES}
    for name in names:
        if not any(case.name.startswith(name) for case in CASES):
            raise ValueError(f"no case {name!r}; there are {', '.join(case.name for case in CASES)}")

    def is_meant(case: Case) -> bool:
        return any(case.name == name or (name not in exact and case.name.startswith(name)) for name in names)

    return [case for case in CASES if not names or is_meant(case)]
