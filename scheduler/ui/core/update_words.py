"""An update in words: how it stands, and how it shall go.

Source: spec/scheduler.md §1.7, §10.
"""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.core.update_model import JobUpdateSettings, JobUpdateStatus
from scheduler.core.update_strategy import strategy_of

_S = JobUpdateStatus

_TITLES = {
    _S.ROLLING_FORWARD: "Update in progress",
    _S.ROLLING_BACK: "Update is rolling back",
    _S.ROLL_FORWARD_PAUSED: "Update paused",
    _S.ROLL_BACK_PAUSED: "Roll back paused",
    _S.ROLLED_FORWARD: "Update successful",
    _S.ROLLED_BACK: "Update rolled back",
    _S.ABORTED: "Update aborted",
    _S.ERROR: "Update ended by an error",
    _S.FAILED: "Update failed",
    _S.ROLL_FORWARD_AWAITING_PULSE: "Update waits for a pulse",
    _S.ROLL_BACK_AWAITING_PULSE: "Roll back waits for a pulse",
}
assert set(_TITLES) == set(_S), "every status has a title"


def title_of(status: JobUpdateStatus) -> str:
    return _TITLES[status]


def settings_words(settings: JobUpdateSettings) -> Iterator[tuple[str, str]]:
    """(name, words); what is off is left out."""
    strategy = strategy_of(settings)
    if strategy.queue_strategy is not None:
        yield "Strategy", "queue"
        yield "At once", str(strategy.queue_strategy.group_size)
    elif strategy.batch_strategy is not None:
        yield "Strategy", "batch"
        yield "Batch size", str(strategy.batch_strategy.group_size)
        yield "Pauses after a batch", _yes(strategy.batch_strategy.autopause_after_batch)
    elif strategy.var_batch_strategy is not None:
        yield "Strategy", "variable batch"
        yield "Batch sizes", ", ".join(map(str, strategy.var_batch_strategy.group_sizes))
        yield "Pauses after a batch", _yes(strategy.var_batch_strategy.autopause_after_batch)
    yield "Failures per instance", str(settings.max_per_instance_failures)
    yield "Failed instances", str(settings.max_failed_instances)
    watch = settings.min_wait_in_instance_running_ms
    yield "Watched", f"{watch / 1000:g} s" if watch else "until healthy"
    yield "Rolls back", _yes(settings.rollback_on_failure)
    if settings.block_if_no_pulses_after_ms:
        yield "Pulse every", f"{settings.block_if_no_pulses_after_ms / 1000:g} s"
    if settings.sla_aware:
        yield "SLA aware", "yes"
    if settings.progress_deadline_ms:
        yield "Progress deadline", f"{settings.progress_deadline_ms / 1000:g} s"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
