"""What `update plan` says: batch by batch what is done, how few instances run meanwhile, how long it may take. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from client.aurora.core.answers import Amount, Answer, Count, JobDiff
from thermos.core.words import duration, plural


class Kinds(Answer, frozen=True):
    add: Count = 0
    replace: Count = 0
    remove: Count = 0


class Batch(Answer, frozen=True):
    """`instances`: (first, last) of each range."""

    instances: list[tuple[Count, Count]] = []
    kinds: Kinds = Kinds()
    lowest_running: Count = 0
    begins_seconds: Amount | None = None
    pauses_before: bool = False


class StartSeconds(Answer, frozen=True):
    """From PENDING to RUNNING, of tasks of this job in the past."""

    median: Amount = 0.0
    slow: Amount | None = None
    samples: Count = 0


class Plan(Answer, frozen=True):
    diff: JobDiff = JobDiff()
    batches: list[Batch] = []
    running_before: Count | None = None
    running_after: Count | None = None
    lowest_running: Count | None = None
    floor: Count | None = None
    seconds_at_least: Amount | None = None
    usual_seconds: Amount | None = None
    slow_seconds: Amount | None = None
    start_seconds: StartSeconds | None = None
    stop_samples: Count | None = None


#: Jobs have more batches than people read; the first and the last ones are shown.
MOST_BATCHES = 40


def plan_lines(plan: Plan) -> Iterator[str]:
    """Of a plan that has batches; what differs is shown before."""
    rows: list[tuple[str, ...]] = [("batch", "instances", "does", "fewest running", "begins")]
    rows += [_row(number, batch) for number, batch in enumerate(plan.batches, 1)]
    yield from _table(rows)
    yield from _running_lines(plan)
    yield from _time_lines(plan)


def _row(number: int, batch: Batch) -> tuple[str, ...]:
    kinds = batch.kinds
    does = [f"{word} {count}" for word, count in
            (("add", kinds.add), ("replace", kinds.replace), ("remove", kinds.remove)) if count]  # fmt: skip
    begins = ""
    if batch.begins_seconds is not None:
        begins = f"after {duration(batch.begins_seconds)}" if batch.begins_seconds else "at once"
    if batch.pauses_before:
        begins = f"{begins}, when you resume it".removeprefix(", ")
    return str(number), _ranges(batch.instances), ", ".join(does), str(batch.lowest_running), begins


def _ranges(spans: Sequence[tuple[int, int]]) -> str:
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in sorted(spans))


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = len(rows) - 1 - MOST_BATCHES
    for index, row in enumerate(rows):
        if left > 0 and MOST_BATCHES // 2 < index <= MOST_BATCHES // 2 + left:
            if index == MOST_BATCHES // 2 + 1:
                yield f"  … {left} more"
            continue
        number, *words = (word.ljust(width) for word, width in zip(row, widths, strict=True))
        yield f"  {number.strip().rjust(widths[0])}  {'  '.join(words)}".rstrip()


def _running_lines(plan: Plan) -> Iterator[str]:
    if plan.lowest_running is None:
        return
    now_and_then = ""
    if plan.running_before is not None and plan.running_after is not None:
        now_and_then = f" ({plan.running_before} now, {plan.running_after} at the end)"
    yield f"At least {plural(plan.lowest_running, 'instance')} running all the time{now_and_then}."
    if plan.floor is not None and plan.floor < plan.lowest_running:
        yield f"If some start much slower than others, at least {plan.floor}."


def _time_lines(plan: Plan) -> Iterator[str]:
    if plan.seconds_at_least is not None and plan.seconds_at_least > 0:
        yield f"It takes at least {duration(plan.seconds_at_least)}: so long is what has to be watched."
    if plan.usual_seconds is None:
        yield "Nothing is known of how long its instances take to start."
        return
    slow = ""
    if plan.slow_seconds is not None and plan.slow_seconds > plan.usual_seconds:
        slow = f", {duration(plan.slow_seconds)} if all of them are slow"
    starts = plan.start_seconds
    samples = f" (from {plural(starts.samples, 'start')}, {duration(starts.median)} each)" if starts is not None else ""
    yield f"It will usually take {duration(plan.usual_seconds)}{slow}{samples}."
    if plan.stop_samples == 0 and any(batch.kinds.replace or batch.kinds.remove for batch in plan.batches):
        yield "None of its instances was stopped yet: the time that takes comes on top."
