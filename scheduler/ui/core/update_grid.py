"""An update as a picture sees it: where every instance stands, batch by batch, and how that came over time.

Source: spec/scheduler.md §4.3, §10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateAction
from scheduler.core.update_progress import Progress
from scheduler.core.update_view import Stage, stage_of

WORDS = {
    Stage.UNTOUCHED: "untouched",
    Stage.UPDATING: "updating",
    Stage.UPDATED: "updated",
    Stage.UPDATE_FAILED: "failed",
    Stage.ROLLING_BACK: "rolling back",
    Stage.ROLLED_BACK: "rolled back",
    Stage.ROLLBACK_FAILED: "roll back failed",
}

_OF_ACTION = {action: Stage(action.value.removeprefix("INSTANCE_")) for action in JobUpdateAction}

#: Points of a timeline at most.
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """`kind`: add, change or remove."""

    instance: int
    stage: Stage
    kind: str

    @property
    def words(self) -> str:
        ends = " and removed" if self.kind == "remove" and self.stage is Stage.UPDATED else ""
        return f"instance {self.instance}: {WORDS[self.stage]}{ends}"


@dataclass(frozen=True, slots=True)
class Band:
    """From this moment on so many instances were in each stage, in the order of Stage."""

    at: float
    counts: tuple[int, ...]


def cells_of(progress: Progress) -> tuple[tuple[Cell, ...], ...]:
    """Batch by batch, in the order in which they are taken; without batches all of them are one."""
    walk = progress.forward.walk
    groups = walk.groups if walk.window is None else (walk.order,)
    return tuple(tuple(_cell(progress, instance) for instance in group) for group in groups)


def _cell(progress: Progress, instance: int) -> Cell:
    before, after = instance in progress.before, instance in progress.forward.targets
    kind = "change" if before and after else "add" if after else "remove"
    return Cell(instance, stage_of(progress, instance), kind)


def bands_of(
    total: int, begin: float, events: Sequence[JobInstanceUpdateEvent], end: float, most: int = MOST_POINTS
) -> tuple[Band, ...]:
    """How many instances were in which stage from when on, `most` points at most, and a last one at the end."""
    order = list(Stage)
    counts = Counter({Stage.UNTOUCHED: total})
    stages: dict[int, Stage] = {}
    found = [Band(begin, tuple(counts[stage] for stage in order))]
    gap = max(0.0, end - begin) / most
    for event in events:
        at = max(begin, event.timestamp_ms / 1000)
        counts[stages.get(event.instance_id, Stage.UNTOUCHED)] -= 1
        stages[event.instance_id] = _OF_ACTION[event.action]
        counts[stages[event.instance_id]] += 1
        band = Band(at, tuple(counts[stage] for stage in order))
        if at - found[-1].at >= gap and at > found[-1].at:
            found.append(band)
        else:
            found[-1] = Band(found[-1].at, band.counts)
    if end > found[-1].at:
        found.append(Band(end, found[-1].counts))
    return tuple(found)


def cells_by_instance(groups: Iterable[Iterable[Cell]]) -> tuple[Cell, ...]:
    return tuple(sorted((cell for group in groups for cell in group), key=lambda cell: cell.instance))
