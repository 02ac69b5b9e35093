"""How far an update is, instance by instance, for people who look at it.

Source: spec/scheduler.md §4.4; the stages are those of its instance events.
"""

from __future__ import annotations

from enum import StrEnum

from scheduler.core.model import Wire
from scheduler.core.update_diff import ranges_of
from scheduler.core.update_model import InstanceRange
from scheduler.core.update_progress import Progress


class Stage(StrEnum):
    """UNTOUCHED: its turn has not come, or it was as it should be when it came."""

    UNTOUCHED = "UNTOUCHED"
    UPDATING = "UPDATING"
    UPDATED = "UPDATED"
    UPDATE_FAILED = "UPDATE_FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLED_BACK = "ROLLED_BACK"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"


class StageOf(Wire, frozen=True):
    stage: Stage
    instances: tuple[InstanceRange, ...]


def stage_of(progress: Progress, instance: int) -> Stage:
    """The latest that is known of an instance of the update."""
    back, forward = progress.backward, progress.forward
    if instance in back.ended:
        return Stage.ROLLED_BACK if back.ended[instance] else Stage.ROLLBACK_FAILED
    if instance in back.begun:
        return Stage.ROLLING_BACK
    if instance in forward.ended:
        return Stage.UPDATED if forward.ended[instance] else Stage.UPDATE_FAILED
    return Stage.UPDATING if instance in forward.begun else Stage.UNTOUCHED


def stages(progress: Progress) -> tuple[StageOf, ...]:
    """All instances of the update, those of a stage together."""
    found: dict[Stage, list[int]] = {}
    for instance in progress.forward.walk.order:
        found.setdefault(stage_of(progress, instance), []).append(instance)
    return tuple(StageOf(stage=stage, instances=ranges_of(found[stage])) for stage in Stage if stage in found)


def share_done(progress: Progress) -> float:
    """0.0 to 1.0: how many instances of the update are over, on the way that it is on; on the way back, of those that
    were touched."""
    way = progress.way
    all_of_them = way.walk.order
    if progress.went_back:
        all_of_them = tuple(instance for instance in all_of_them if progress.is_touched(instance))
    return sum(instance in way.ended for instance in all_of_them) / len(all_of_them) if all_of_them else 1.0
