"""Changes the states of tasks: asks the table what a wish or a report means, and does that.

Everything a transition asks for is done in the turn, in the table's order: the failure counted, the state saved, the
task replaced, a task out of sight given up, the kill told, the task deleted. A task that the store does not know is
DELETED: an agent that runs it is told to kill it.

Whoever keeps something in memory about tasks (queues, timers, counts) follows: it is told of every task that moved,
right after the tables have it, in the same turn.

Source: spec/scheduler.md §2.1, §2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import Struct, structs

from scheduler.core.effects import KillTask, TaskChanged, TasksDeleted
from scheduler.core.history import enter
from scheduler.core.model import AssignedTask, InstanceKey, ScheduledTask, TaskConfig, TaskEvent, task_id_of
from scheduler.core.reschedule import count_failure, penalty_ms, replacement
from scheduler.core.states import TERMINAL, ScheduleStatus
from scheduler.core.transitions import Effect, Facts, Result, transition
from scheduler.engine_settings import EngineSettings
from scheduler.engine_stats import EngineStats
from scheduler.store.ops import DeleteTasks, SaveTasks
from scheduler.store.tables import Tables
from scheduler.turn import Turn
from thermos.errors import Bug, UserError

MARKED_LOST = "Action performed on partitioned task, marking as LOST."


class InstanceTaken(UserError):
    """An instance has an active task already."""


class Move(Struct, frozen=True):
    """`before` None: the task is new. `wait_ms`: of a THROTTLED one, how long."""

    task: ScheduledTask
    before: ScheduledTask | None
    wait_ms: int = 0


class Follower(Protocol):
    def moved(self, move: Move, turn: Turn) -> None:
        """The tables have it. May not change them."""

    def deleted(self, task: ScheduledTask, turn: Turn) -> None:
        """The tables have it no more."""


class Details(Struct, frozen=True):
    """Beside the state: where an ASSIGNED task goes; who says that he runs a task (to be told to kill it)."""

    assigned: AssignedTask | None = None
    agent_id: str | None = None


class StateManager:
    def __init__(
        self,
        tables: Tables,
        settings: EngineSettings,
        stats: EngineStats,
        chance: Callable[[], float],
        unique: Callable[[], str],
    ) -> None:
        self.followers: tuple[Follower, ...] = ()
        self._tables = tables
        self._settings = settings
        self._stats = stats
        self._chance = chance
        self._unique = unique

    # --- wishes -----------------------------------------------------------------------------------------------------

    def insert(
        self, turn: Turn, config: TaskConfig, instances: Iterable[int], message: str = ""
    ) -> list[ScheduledTask]:
        """New PENDING tasks. Raises InstanceTaken before anything is changed."""
        numbers = list(instances)
        self._check_free(config, numbers)
        if not numbers:
            return []
        event = self._event(turn, ScheduleStatus.PENDING, message)
        tasks = tuple(
            ScheduledTask(
                assigned_task=AssignedTask(
                    task_id=task_id_of(config.job, number, self._unique()), task=config, instance_id=number
                ),
                status=ScheduleStatus.PENDING,
                task_events=(event,),
            )
            for number in numbers
        )
        turn.apply(SaveTasks(tasks=tasks))
        self._stats.tasks_inserted += len(tasks)
        return [self._moved(turn, task.id, None) for task in tasks]

    def change(
        self,
        turn: Turn,
        task_id: str,
        to: ScheduleStatus,
        message: str = "",
        *,
        expected: ScheduleStatus | None = None,
        details: Details | None = None,
    ) -> Result:
        """With `expected` only from that state. Never raises for what a state does not allow: the result says it."""
        details = details or Details()
        task = self._tables.tasks.get(task_id)
        outcome = transition(_status(task), to, _facts(task), expected=expected)
        if outcome.result in (Result.ILLEGAL, Result.ILLEGAL_WITH_SIDE_EFFECTS):
            self._stats.illegal_transitions += 1
        if task is None:
            if Effect.KILL in outcome.effects:
                self._kill(turn, task_id, details.agent_id, zombie=True)
            return outcome.result
        saved = task
        for effect in outcome.effects:
            match effect:
                case Effect.INCREMENT_FAILURES:
                    saved = count_failure(saved)
                case Effect.SAVE_STATE:
                    saved = self._save(turn, task, saved, to, message, details.assigned)
                case Effect.RESCHEDULE:
                    self._reschedule(turn, saved)
                case Effect.TRANSITION_TO_LOST:
                    self.change(turn, task_id, ScheduleStatus.LOST, MARKED_LOST)
                case Effect.KILL:
                    zombie = outcome.result is Result.ILLEGAL_WITH_SIDE_EFFECTS
                    agent = saved.assigned_task.slave_id or None
                    self._kill(turn, task_id, (details.agent_id if zombie else None) or agent, zombie=zombie)
                case Effect.DELETE:
                    self._delete(turn, [saved])
        return outcome.result

    def delete(self, turn: Turn, task_ids: Iterable[str]) -> list[ScheduledTask]:
        """What has ended. Unknown ids are nothing. Raises Bug for a task that is still active."""
        found = [task for each in dict.fromkeys(task_ids) if (task := self._tables.tasks.get(each)) is not None]
        for task in found:
            if task.status not in TERMINAL:
                raise Bug(f"cannot delete {task.id}: it is {task.status}, and has not ended")
        if found:
            self._delete(turn, found)
        return found

    def kill_again(self, turn: Turn, task: ScheduledTask) -> None:
        self._kill(turn, task.id, task.assigned_task.slave_id or None, zombie=False)

    # --- effects ----------------------------------------------------------------------------------------------------

    def _save(
        self,
        turn: Turn,
        before: ScheduledTask,
        task: ScheduledTask,
        to: ScheduleStatus,
        message: str,
        assigned: AssignedTask | None,
    ) -> ScheduledTask:
        saved = enter(task, self._event(turn, to, message))
        if assigned is not None:
            saved = structs.replace(saved, assigned_task=assigned)
        turn.apply(SaveTasks(tasks=(saved,)))
        self._stats.tasks_partitioned += to is ScheduleStatus.PARTITIONED
        return self._moved(turn, saved.id, before)

    def _reschedule(self, turn: Turn, task: ScheduledTask) -> None:
        """`task` has ended, and is saved."""
        wait = penalty_ms(task, self._tables.tasks.get, self._settings.flapping, self._chance)
        new = replacement(task, self._unique(), wait, turn.now_ms, self._settings.scheduler_name)
        turn.apply(SaveTasks(tasks=(new,)))
        self._stats.tasks_rescheduled += 1
        self._stats.tasks_throttled += wait > 0
        self._stats.throttled_ms += wait
        self._moved(turn, new.id, None, wait)

    def _kill(self, turn: Turn, task_id: str, agent_id: str | None, *, zombie: bool) -> None:
        self._stats.kills += 1
        self._stats.zombie_kills += zombie
        turn.tell(KillTask(task_id, agent_id))

    def _delete(self, turn: Turn, tasks: Sequence[ScheduledTask]) -> None:
        turn.apply(DeleteTasks(task_ids=tuple(task.id for task in tasks)))
        for task in tasks:
            for follower in self.followers:
                follower.deleted(task, turn)
        turn.tell(TasksDeleted(tuple(tasks)))

    # --- small things -----------------------------------------------------------------------------------------------

    def _moved(self, turn: Turn, task_id: str, before: ScheduledTask | None, wait_ms: int = 0) -> ScheduledTask:
        """Let everybody know; the task as the tables have it."""
        task = self._tables.tasks.get(task_id)
        if task is None:
            raise Bug(f"task {task_id} was saved, and is not there")
        move = Move(task, before, wait_ms)
        for follower in self.followers:
            follower.moved(move, turn)
        turn.tell(TaskChanged(task, before.status if before is not None else None))
        return task

    def _check_free(self, config: TaskConfig, numbers: Sequence[int]) -> None:
        if len(set(numbers)) != len(numbers):
            raise Bug(f"cannot add an instance of {config.job} twice at once")
        for number in numbers:
            key = InstanceKey(job_key=config.job, instance_id=number)
            other = self._tables.tasks.active(key)
            if other is not None:
                raise InstanceTaken(f"Instance ID collision detected: {key} has an active task already, {other.id}")

    def _event(self, turn: Turn, status: ScheduleStatus, message: str) -> TaskEvent:
        return TaskEvent(timestamp=turn.now_ms, status=status, message=message, scheduler=self._settings.scheduler_name)


def _status(task: ScheduledTask | None) -> ScheduleStatus:
    return task.status if task is not None else ScheduleStatus.DELETED


def _facts(task: ScheduledTask | None) -> Facts:
    if task is None:
        return Facts()
    return Facts(
        is_service=task.config.is_service,
        max_failures=task.config.max_task_failures,
        failures=task.failure_count,
        was_killing=any(event.status is ScheduleStatus.KILLING for event in task.task_events),
    )
