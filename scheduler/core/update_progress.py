"""Where an update stands: a fold over its stored events, and nothing else. A restart folds the same events again.

An instance is untouched, in the works (its "-ING" event is there), or done (its end is there), each way separately.
One that was found to be as it should gets no events at all, so it is looked at again whenever its turn comes.

The fold goes on where it stopped, so that a step costs what is new, not what the history is long.

Source: spec/scheduler.md §4.3, §4.4, §4.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scheduler.core.model import TaskConfig
from scheduler.core.update_diff import configs_of
from scheduler.core.update_model import (
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateAction,
    JobUpdateEvent,
    JobUpdateStatus,
)
from scheduler.core.update_states import AWAITING_PULSE, is_backward
from scheduler.core.update_strategy import Walk, walk_of
from thermos.errors import Bug

_A = JobUpdateAction

AUTO_PAUSED = "Update auto paused"
CHECKING_SLA = "Checking SLA before continuing."
SLA_PASSED = "SLA check passed, continuing."


@dataclass(frozen=True, slots=True)
class Words:
    """What the events of an instance are called."""

    begun: JobUpdateAction
    done: JobUpdateAction
    failed: JobUpdateAction


FORWARD_WORDS = Words(_A.INSTANCE_UPDATING, _A.INSTANCE_UPDATED, _A.INSTANCE_UPDATE_FAILED)
BACKWARD_WORDS = Words(_A.INSTANCE_ROLLING_BACK, _A.INSTANCE_ROLLED_BACK, _A.INSTANCE_ROLLBACK_FAILED)


class Way:
    """One direction of an update, as far as it has come. Changed by `Progress` only."""

    def __init__(self, walk: Walk, targets: dict[int, TaskConfig], words: Words) -> None:
        self.walk = walk
        self.targets = targets
        self.words = words
        self.begun: dict[int, int] = {}  # in the works: since when
        self.ended: dict[int, bool] = {}  # whether it went well
        self.failures = 0
        self.checked_sla: set[int] = set()
        self.front = 0  # all groups before it have ended
        self.groups_begun = 0
        self._group_of = {instance: n for n, group in enumerate(walk.groups) for instance in group}
        self._open = [len(group) for group in walk.groups]
        self._touched: set[int] = set()

    def has_begun(self, group: int) -> bool:
        return group in self._touched

    def fold(self, event: JobInstanceUpdateEvent) -> None:
        instance = event.instance_id
        group = self._group_of.get(instance)
        if group is None:
            raise Bug(f"cannot fold an event: instance {instance} is not in the update")
        if event.action is self.words.begun:
            self.begun.setdefault(instance, event.timestamp_ms)
            if event.message == CHECKING_SLA:
                self.checked_sla.add(instance)
            if group not in self._touched:
                self._touched.add(group)
                self.groups_begun += 1
        elif instance not in self.ended:
            self.begun.pop(instance, None)
            self.ended[instance] = event.action is self.words.done
            self.failures += event.action is self.words.failed
            self._open[group] -= 1
            while self.front < len(self._open) and self._open[self.front] == 0:
                self.front += 1


class Progress:
    """Of one update. `catch_up` is to be given all its events, or those since the last time are missed."""

    def __init__(self, update: JobUpdate) -> None:
        self.update = update
        instructions = update.instructions
        self.before = configs_of(instructions.initial_state)
        after = configs_of([instructions.desired_state] if instructions.desired_state is not None else [])
        self.forward = Way(walk_of(instructions), after, FORWARD_WORDS)
        self.backward = Way(walk_of(instructions, backward=True), self.before, BACKWARD_WORDS)
        self.status = update.summary.state.status
        self.went_back = is_backward(self.status)
        self.created_ms = update.summary.state.created_timestamp_ms
        self.changed_ms = self.created_ms  # its status did
        self.wished_ms = self.created_ms  # by a person, that it changes
        self.last_event_ms = self.created_ms
        self.auto_pauses = 0
        self._awaited: list[tuple[int, int]] = []  # when it waited for pulses, since somebody's last wish
        self._events = 0
        self._instance_events = 0

    @property
    def way(self) -> Way:
        """The one it is on, or was on when it ended."""
        return self.backward if self.went_back else self.forward

    def is_touched(self, instance: int) -> bool:
        """It was in the works on the way forward."""
        return instance in self.forward.begun or instance in self.forward.ended

    def awaited_ms(self, since_ms: int) -> int:
        """So much of the time since then it waited for pulses, without anybody having wished something meanwhile. Not
        counted is the wait in which it is."""
        waited = 0
        for begun, ended in reversed(self._awaited):
            if ended <= since_ms:
                break
            waited += ended - max(begun, since_ms)
        return waited

    def catch_up(self, events: Sequence[JobUpdateEvent], instance_events: Sequence[JobInstanceUpdateEvent]) -> None:
        """Both lists from their beginning; only what is new in them is folded. After a commit that failed a new
        `Progress` has to be made: what was folded can't be taken back. Raises Bug for an instance of somebody else."""
        for event in events[self._events :]:
            if self._events == 0:
                self.created_ms = event.timestamp_ms
            self._events += 1
            if self.status in AWAITING_PULSE:
                self._awaited.append((self.changed_ms, event.timestamp_ms))
            if event.user is not None:
                self.wished_ms = event.timestamp_ms
                self._awaited.clear()
            self.auto_pauses += is_auto_pause(event)
            self.status = event.status
            self.went_back |= is_backward(event.status)
            self.changed_ms = event.timestamp_ms
            self.last_event_ms = max(self.last_event_ms, event.timestamp_ms)
        for each in instance_events[self._instance_events :]:
            self._instance_events += 1
            way = self.forward if each.action in _FORWARD_ACTIONS else self.backward
            way.fold(each)
            self.last_event_ms = max(self.last_event_ms, each.timestamp_ms)


_FORWARD_ACTIONS = frozenset({FORWARD_WORDS.begun, FORWARD_WORDS.done, FORWARD_WORDS.failed})


def is_auto_pause(event: JobUpdateEvent) -> bool:
    """Not one that somebody wished."""
    return event.status is JobUpdateStatus.ROLL_FORWARD_PAUSED and event.user is None and event.message == AUTO_PAUSED


def progress_of(
    update: JobUpdate, events: Sequence[JobUpdateEvent], instance_events: Sequence[JobInstanceUpdateEvent]
) -> Progress:
    progress = Progress(update)
    progress.catch_up(events, instance_events)
    return progress
