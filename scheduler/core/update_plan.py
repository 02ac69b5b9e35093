"""What an update would do: its batches in their order, how few instances run meanwhile, and how long it may take.

The plan is a rehearsal: the machine of updates itself runs, on a job in which every task starts and stops as quickly as
this job's tasks did in the past. So the order is the one that the update will have, whatever happens to it (as long as
nothing fails), and so is the lowest number of running instances of each batch. In a queue, which has no batches, those
that begin together count as one, and with tasks of uneven speed there may be a few less for a moment: `floor` is what
no order of events goes below.

Pauses are taken as ended at once, pulses as always there, and SLA policies as always content.

Source: spec/scheduler.md §4.2, §4.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scheduler.core.model import ScheduledTask, Wire
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_diff import InstanceDiff, ids_of, ranges_of
from scheduler.core.update_model import InstanceRange, JobUpdateInstructions
from scheduler.core.update_pace import ASSUMED, SLOW, USUAL, Pace, PastTimes
from scheduler.core.update_rehearsal import Beginning, rehearse
from scheduler.core.update_strategy import order_of, strategy_of


class PlannedBatch(Wire, frozen=True):
    """`lowest_running`: of the whole job, from its begin to the begin of the next one. `begins_ms`: after the start of
    the update, at the usual pace; None: nobody knows."""

    add: tuple[InstanceRange, ...] = ()
    replace: tuple[InstanceRange, ...] = ()
    remove: tuple[InstanceRange, ...] = ()
    lowest_running: int = 0
    begins_ms: int | None = None
    pauses_before: bool = False

    @property
    def instances(self) -> tuple[int, ...]:
        return tuple(ids_of((*self.add, *self.replace, *self.remove)))


class UpdatePlan(Wire, frozen=True):
    """`at_least_ms`: what watching alone takes; `usual_ms`, `slow_ms`: with the starts and stops of the past, None:
    there are none. `samples`: starts that are known."""

    add: tuple[InstanceRange, ...] = ()
    replace: tuple[InstanceRange, ...] = ()
    remove: tuple[InstanceRange, ...] = ()
    unchanged: tuple[InstanceRange, ...] = ()
    batches: tuple[PlannedBatch, ...] = ()
    running_before: int = 0
    running_after: int = 0
    lowest_running: int = 0
    floor: int = 0
    at_least_ms: int = 0
    usual_ms: int | None = None
    slow_ms: int | None = None
    samples: int = 0


def plan_update(
    diff: InstanceDiff, instructions: JobUpdateInstructions, active: Mapping[int, ScheduledTask], past: PastTimes
) -> UpdatePlan:
    """`active`: the active task of each instance of the job."""
    running = _running(active)
    if diff.is_empty:
        return UpdatePlan(
            unchanged=ranges_of(diff.unchanged),
            running_before=running,
            running_after=running,
            lowest_running=running,
            floor=running,
            samples=len(past.starts_ms),
        )
    usual, slow = past.pace(USUAL), past.pace(SLOW)
    rehearsal = rehearse(instructions, active, usual or ASSUMED)
    batches = tuple(_batch(diff, begun, usual is not None) for begun in rehearsal.beginnings)
    lowest = min((batch.lowest_running for batch in batches), default=running)
    return UpdatePlan(
        add=ranges_of(diff.add),
        replace=ranges_of(diff.replace),
        remove=ranges_of(diff.remove),
        unchanged=ranges_of(diff.unchanged),
        batches=batches,
        running_before=running,
        running_after=rehearsal.running,
        lowest_running=lowest,
        floor=min(lowest, _floor_of_queue(instructions, active)),
        at_least_ms=rehearse(instructions, active, Pace(0, 0)).took_ms,
        usual_ms=None if usual is None else rehearsal.took_ms,
        slow_ms=None if slow is None else rehearse(instructions, active, slow).took_ms,
        samples=len(past.starts_ms),
    )


def _batch(diff: InstanceDiff, begun: Beginning, has_past: bool) -> PlannedBatch:
    def those(instances: Sequence[int]) -> tuple[InstanceRange, ...]:
        return ranges_of(set(instances).intersection(begun.instances))

    return PlannedBatch(
        add=those(diff.add),
        replace=those(diff.replace),
        remove=those(diff.remove),
        lowest_running=begun.lowest_running,
        begins_ms=begun.at_ms if has_past else None,
        pauses_before=begun.pauses_before,
    )


def _running(active: Mapping[int, ScheduledTask]) -> int:
    return sum(task.status is ScheduleStatus.RUNNING for task in active.values())


def _floor_of_queue(instructions: JobUpdateInstructions, active: Mapping[int, ScheduledTask]) -> int:
    """At each moment the window may be full of those that are down, whichever of the begun ones they are."""
    lowest = running = _running(active)
    queue = strategy_of(instructions.settings).queue_strategy
    if queue is None:
        return lowest
    desired = instructions.desired_state
    placed = set(ids_of(desired.instances)) if desired is not None else set()
    placed_so_far = 0
    for instance in order_of(instructions):
        stays = instance in placed
        placed_so_far += stays
        was_running = instance in active and active[instance].status is ScheduleStatus.RUNNING
        running += stays - was_running  # once all that have begun are well
        lowest = min(lowest, running - min(queue.group_size - (not stays), placed_so_far))
    return lowest
