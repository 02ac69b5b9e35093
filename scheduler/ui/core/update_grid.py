"""An update as a picture sees it: where every instance stands, batch by batch, and how that came over time.

Source: spec/scheduler.md §4.3, §10.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from scheduler.core.update_diff import ids_of
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateAction, JobUpdateInstructions
from scheduler.core.update_strategy import walk_of

_A = JobUpdateAction


class CellState(StrEnum):
    """Where an instance stands; the value is a class of the stylesheet."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"


WORDS = {
    CellState.WAITING: "not begun",
    CellState.WORKING: "in the works",
    CellState.DONE: "updated",
    CellState.FAILED: "failed",
    CellState.ROLLING_BACK: "rolling back",
    CellState.ROLLED_BACK: "rolled back",
}

_OF_ACTION = {
    _A.INSTANCE_UPDATING: CellState.WORKING,
    _A.INSTANCE_UPDATED: CellState.DONE,
    _A.INSTANCE_UPDATE_FAILED: CellState.FAILED,
    _A.INSTANCE_ROLLING_BACK: CellState.ROLLING_BACK,
    _A.INSTANCE_ROLLED_BACK: CellState.ROLLED_BACK,
    _A.INSTANCE_ROLLBACK_FAILED: CellState.FAILED,
}

#: Points of a timeline at most.
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Cell:
    """`kind`: add, change or remove."""

    instance: int
    state: CellState
    kind: str

    @property
    def words(self) -> str:
        ends = " and removed" if self.kind == "remove" and self.state is CellState.DONE else ""
        return f"instance {self.instance}: {WORDS[self.state]}{ends}"


@dataclass(frozen=True, slots=True)
class Band:
    """From this moment on so many instances were in each state, in the order of CellState."""

    at: float
    counts: tuple[int, ...]


def cells_of(
    instructions: JobUpdateInstructions, events: Iterable[JobInstanceUpdateEvent]
) -> tuple[tuple[Cell, ...], ...]:
    """Batch by batch, in the order in which they are taken; without batches all of them are one."""
    states = {event.instance_id: _OF_ACTION[event.action] for event in events}
    before = {each for group in instructions.initial_state for each in ids_of(group.instances)}
    after = set(ids_of(instructions.desired_state.instances)) if instructions.desired_state is not None else set()
    walk = walk_of(instructions)
    groups = walk.groups if walk.window is None else (walk.order,)
    return tuple(
        tuple(
            Cell(
                instance,
                states.get(instance, CellState.WAITING),
                "change" if instance in before and instance in after else "add" if instance in after else "remove",
            )
            for instance in group
        )
        for group in groups
    )


def bands_of(
    total: int, begin: float, events: Sequence[JobInstanceUpdateEvent], end: float, most: int = MOST_POINTS
) -> tuple[Band, ...]:
    """How many instances were in which state from when on, `most` points at most, and a last one at the end."""
    order = list(CellState)
    counts = Counter({CellState.WAITING: total})
    states: dict[int, CellState] = {}
    found = [Band(begin, tuple(counts[state] for state in order))]
    gap = max(0.0, end - begin) / most
    for event in events:
        at = max(begin, event.timestamp_ms / 1000)
        counts[states.get(event.instance_id, CellState.WAITING)] -= 1
        states[event.instance_id] = _OF_ACTION[event.action]
        counts[states[event.instance_id]] += 1
        band = Band(at, tuple(counts[state] for state in order))
        if at - found[-1].at >= gap and at > found[-1].at:
            found.append(band)
        else:
            found[-1] = Band(found[-1].at, band.counts)
    if end > found[-1].at:
        found.append(Band(end, found[-1].counts))
    return tuple(found)


def cells_by_instance(groups: Iterable[Iterable[Cell]]) -> tuple[Cell, ...]:
    return tuple(sorted((cell for group in groups for cell in group), key=lambda cell: cell.instance))
