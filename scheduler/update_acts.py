"""Does what a step of an update decided: events are stored and told, tasks are killed and added, all in one turn.

A kill that an SLA policy has to allow is looked at when its turn comes, with those before it taken into account; when
it is not allowed nothing happens, and the next step asks again.

Source: spec/scheduler.md §3.5, §4.4, §4.7.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from scheduler.core.effects import InstancesUpdated, UpdateChanged
from scheduler.core.model import InstanceKey, JobKey
from scheduler.core.reservations import Reservations
from scheduler.core.sla import SlaView
from scheduler.core.states import ScheduleStatus
from scheduler.core.transitions import Result
from scheduler.core.update_decision import Act, AddInstance, KillInstance
from scheduler.core.update_machine import sla_passed
from scheduler.core.update_model import JobInstanceUpdateEvent, JobUpdateEvent, JobUpdateKey
from scheduler.core.update_progress import Progress
from scheduler.engine_settings import EngineSettings
from scheduler.engine_stats import EngineStats
from scheduler.state_manager import StateManager
from scheduler.store.ops import SaveInstanceUpdateEvents, SaveJobUpdateEvents
from scheduler.store.tables import Tables
from scheduler.turn import Turn


class UpdateActs:
    def __init__(
        self,
        tables: Tables,
        settings: EngineSettings,
        stats: EngineStats,
        states: StateManager,
        reservations: Reservations,
    ) -> None:
        self._tables = tables
        self._rules = settings.updates
        self._tiers = settings.launch.tiers
        self._stats = stats
        self._states = states
        self._reservations = reservations

    # --- events -----------------------------------------------------------------------------------------------------

    def record(self, turn: Turn, key: JobUpdateKey, event: JobUpdateEvent) -> None:
        turn.apply(SaveJobUpdateEvents(key=key, events=(event,)))
        self._stats.update_transitions[event.status] += 1
        turn.tell(UpdateChanged(key, event))

    def record_instances(self, turn: Turn, key: JobUpdateKey, events: Sequence[JobInstanceUpdateEvent]) -> None:
        if not events:
            return
        turn.apply(SaveInstanceUpdateEvents(key=key, events=tuple(events)))
        for event in events:
            self._stats.update_instance_transitions[event.action] += 1
        turn.tell(InstancesUpdated(key, tuple(events)))

    # --- acts -------------------------------------------------------------------------------------------------------

    def perform(self, turn: Turn, progress: Progress, acts: Iterable[Act]) -> bool:
        """Whether some were not allowed."""
        refused = False
        sla = _Sla(self._tables, turn)
        for batch in _together(acts):
            first = batch[0]
            if isinstance(first, AddInstance):
                self._states.insert(turn, first.config, [act.instance for act in batch])
            else:
                refused |= not self._kill(turn, progress, first, sla)
        return refused

    def _kill(self, turn: Turn, progress: Progress, act: KillInstance, sla: _Sla) -> bool:
        key = progress.update.summary.key
        checked = act.policy is not None and self._means_something(key.job, act, sla)
        if checked and act.policy is not None:
            self._stats.sla_kill_attempts += 1
            if not sla.of(key.job).allows(act.policy, act.instance):
                return False
            self._stats.sla_kill_successes += 1
        if act.policy is not None:
            self.record_instances(turn, key, [sla_passed(progress, act.instance, turn.now_ms)])
        if self._states.change(turn, act.task_id, ScheduleStatus.KILLING, act.message) is not Result.SUCCESS:
            return True  # it has changed meanwhile, and is looked at again
        if checked:
            sla.of(key.job).taken(act.instance)
        if act.keep_agent is not None and self._rules.affinity:
            instance = InstanceKey(job_key=key.job, instance_id=act.instance)
            self._reservations.reserve(act.keep_agent, instance, turn.now.mono + self._rules.affinity_hold_s)
        return True

    def _means_something(self, job: JobKey, act: KillInstance, sla: _Sla) -> bool:
        """Not for small jobs, nor for those that count against no quota."""
        task = self._tables.tasks.get(act.task_id)
        tier = self._tiers.of(task.config.tier if task is not None else None)
        counts = self._rules.sla_for_all_tiers or tier.is_production
        return counts and sla.of(job).total >= self._rules.sla_min_instances


class _Sla:
    """The job as it was when the first act of a turn needed to know."""

    def __init__(self, tables: Tables, turn: Turn) -> None:
        self._tables = tables
        self._turn = turn
        self._view: SlaView | None = None

    def of(self, job: JobKey) -> SlaView:
        if self._view is None:
            self._view = SlaView(self._tables.tasks.active_of_job(job), self._turn.now_ms)
        return self._view


def _together(acts: Iterable[Act]) -> Iterator[list[Act]]:
    """Instances that are added with the same configuration, one after the other, are added at once."""
    for is_add, group in groupby(acts, lambda act: id(act.config) if isinstance(act, AddInstance) else None):
        if is_add is None:
            yield from ([act] for act in group)
        else:
            yield list(group)
