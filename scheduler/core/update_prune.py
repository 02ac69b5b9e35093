"""Which updates that have ended are forgotten. Those that go on never are.

Of each job the latest ones are kept, up to a number; what ended too long ago goes, and all updates of jobs that have no
task any more, not even an ended one.

Source: spec/scheduler.md §4.8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scheduler.core.model import JobKey
from scheduler.core.update_model import UPDATE_ENDED, JobUpdateKey, JobUpdateSummary

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class UpdatePruneRules:
    """`interval_s`: how often it is done."""

    keep_per_job: int = 10
    keep_ms: int = 30 * DAY_MS
    interval_s: float = 15 * 60


def prunable_updates(
    summaries: Iterable[JobUpdateSummary], has_tasks: Callable[[JobKey], bool], rules: UpdatePruneRules, now_ms: int
) -> tuple[JobUpdateKey, ...]:
    """By job, the latest first."""
    ended: dict[JobKey, list[JobUpdateSummary]] = {}
    for summary in summaries:
        if summary.state.status in UPDATE_ENDED:
            ended.setdefault(summary.key.job, []).append(summary)
    gone: list[JobUpdateKey] = []
    for job in sorted(ended, key=str):
        newest_first = sorted(ended[job], key=_age)
        kept = rules.keep_per_job if has_tasks(job) else 0
        gone += [
            summary.key
            for place, summary in enumerate(newest_first)
            if place >= kept or now_ms - summary.state.last_modified_timestamp_ms > rules.keep_ms
        ]
    return tuple(gone)


def _age(summary: JobUpdateSummary) -> tuple[int, str]:
    return (-summary.state.last_modified_timestamp_ms, summary.key.id)
