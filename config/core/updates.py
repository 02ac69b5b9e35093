"""How a job is updated: `update_config` checked, and turned into the settings a scheduler works by.

There are three strategies. Queue keeps `batch_size` instances in the works; Batch finishes a batch before it starts
the next; VariableBatch has a size for every batch. Users name one, or leave it to `batch_size` and
`wait_for_batch_completion`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from config.core.finding import Finding, Plain, mapping_at, number_at

MIN_PULSE_SECS = 60

_NOT_NEGATIVE = ("watch_secs", "max_per_shard_failures", "max_total_failures")


def update_findings(update: Plain, *, instances: float | None, dedicated: bool, sla_policy: bool) -> Iterator[Finding]:
    """All that is wrong with an `update_config`; paths are relative to it."""
    for field in _NOT_NEGATIVE:
        value = number_at(update, field)
        if value is not None and value < 0:
            yield Finding(f"Invalid value ({value}) specified for {field}. Value cannot be less than 0.", (field,))
    yield from _strategy_findings(update)
    pulse = number_at(update, "pulse_interval_secs")
    if pulse is not None and pulse < MIN_PULSE_SECS:
        text = f"Pulse interval seconds must be at least {MIN_PULSE_SECS} seconds, got {pulse}"
        yield Finding(text, ("pulse_interval_secs",))
    if update.get("sla_aware") is True and not sla_policy:
        yield Finding("a job with sla_aware updates needs a sla_policy", ("sla_aware",))
    failures = number_at(update, "max_total_failures")
    if failures is not None and instances is not None and instances > 0:
        yield from _total_failures_findings(int(failures), int(instances), dedicated)


def _strategy_findings(update: Plain) -> Iterator[Finding]:
    size = number_at(update, "batch_size")
    if size is not None and size <= 0:
        yield Finding(f"Batch size should be greater than 0, got {size}", ("batch_size",))
    strategy = mapping_at(update, "update_strategy")
    if not strategy:
        return
    if update.get("wait_for_batch_completion") is True:
        text = "Ambiguous update configuration: wait_for_batch_completion and update_strategy can't both be given"
        yield Finding(text, ("wait_for_batch_completion",))
    if size is not None and size > 1:
        text = "Ambiguous update configuration: give the size in update_strategy, not in batch_size as well"
        yield Finding(text, ("batch_size",))
    sizes = strategy.get("batch_sizes", [strategy.get("batch_size", 1)])
    if isinstance(sizes, list | tuple):
        if not sizes:
            yield Finding("batch_sizes names no batch", ("update_strategy", "batch_sizes"))
        for number in sizes:
            if isinstance(number, int) and number <= 0:
                field = "batch_sizes" if "batch_sizes" in strategy else "batch_size"
                yield Finding(f"Batch size should be greater than 0, got {number}", ("update_strategy", field))


def _total_failures_findings(failures: int, instances: int, dedicated: bool) -> Iterator[Finding]:
    if failures >= instances:
        text = (
            f"max_total_failures in update_config must be lesser than the job size; "
            f"it is {failures} and there are {instances} instances"
        )
        yield Finding(text, ("max_total_failures",))
    least = instances * 2 // 100
    if dedicated and failures < least:
        text = f"a dedicated job of {instances} instances must allow at least {least} (2 %) max_total_failures"
        yield Finding(text, ("max_total_failures",))


def update_settings(update: Plain, only_instances: Iterable[int] = ()) -> dict[str, Any]:
    """The JobUpdateSettings of a checked, fully bound `update_config`."""
    return {
        "updateGroupSize": update["batch_size"],
        "maxPerInstanceFailures": update["max_per_shard_failures"],
        "maxFailedInstances": update["max_total_failures"],
        "minWaitInInstanceRunningMs": update["watch_secs"] * 1000,
        "rollbackOnFailure": update["rollback_on_failure"],
        "updateOnlyTheseInstances": to_ranges(only_instances),
        "waitForBatchCompletion": update["wait_for_batch_completion"],
        "blockIfNoPulsesAfterMs": (update.get("pulse_interval_secs") or 0) * 1000,
        "slaAware": update["sla_aware"],
        "updateStrategy": _strategy(update),
    }


def _strategy(update: Plain) -> dict[str, Any]:
    given = update.get("update_strategy")
    if given is None:
        if update["wait_for_batch_completion"]:
            return {"batchStrategy": {"groupSize": update["batch_size"], "autopauseAfterBatch": False}}
        return {"queueStrategy": {"groupSize": update["batch_size"]}}
    if "batch_sizes" in given:
        pause = given["autopause_after_batch"]
        return {"varBatchStrategy": {"groupSizes": list(given["batch_sizes"]), "autopauseAfterBatch": pause}}
    if "autopause_after_batch" in given:
        pause = given["autopause_after_batch"]
        return {"batchStrategy": {"groupSize": given["batch_size"], "autopauseAfterBatch": pause}}
    return {"queueStrategy": {"groupSize": given["batch_size"]}}


def to_ranges(instances: Iterable[int]) -> list[dict[str, int]]:
    """Instance ids as sorted ranges, both ends included: 0,1,2,5 -> 0-2, 5-5."""
    ranges: list[dict[str, int]] = []
    for number in sorted(set(instances)):
        if ranges and ranges[-1]["last"] == number - 1:
            ranges[-1]["last"] = number
        else:
            ranges.append({"first": number, "last": number})
    return ranges
