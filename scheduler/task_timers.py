"""Keeps the moments at which time alone changes a task, and does what is due then.

A task that moves has the timers of its new state, and no others: so no timer ever meets a task in another state than
the one it was set for (and would do nothing, if it did).

Source: spec/scheduler.md §2.3, §2.4. The rules are in scheduler.core.timeouts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from scheduler.core.deadlines import Deadlines
from scheduler.core.model import ScheduledTask
from scheduler.core.states import AGENT_ASSIGNED, ENDING, TRANSIENT, ScheduleStatus
from scheduler.core.timeouts import (
    FRAMEWORK_GONE,
    PARTITIONED_TOO_LONG,
    TIMED_OUT,
    TimeoutRules,
    Timer,
    entered_at_ms,
    gives_up_after_s,
    left_s,
)
from scheduler.engine_stats import EngineStats
from scheduler.state_manager import Move, StateManager
from scheduler.store.tables import Tables
from scheduler.turn import Turn
from thermos.clock import Now

#: The states in which a timer means something.
_STATES: Mapping[Timer, frozenset[ScheduleStatus]] = {
    Timer.THROTTLE_END: frozenset({ScheduleStatus.THROTTLED}),
    Timer.TIME_OUT: TRANSIENT,
    Timer.KILL_RETRY: ENDING,
    Timer.GIVE_UP: frozenset({ScheduleStatus.PARTITIONED}),
    Timer.DISOWN: AGENT_ASSIGNED,
}

#: The timers that a task in a state may have.
_TIMERS: Mapping[ScheduleStatus, tuple[Timer, ...]] = {
    status: tuple(timer for timer, states in _STATES.items() if status in states) for status in ScheduleStatus
}


class TaskTimers:
    """`penalty_of`: how long a THROTTLED task was to wait (milliseconds); asked after a start only."""

    def __init__(
        self,
        tables: Tables,
        rules: TimeoutRules,
        stats: EngineStats,
        penalty_of: Callable[[ScheduledTask], int],
        chance: Callable[[], float],
    ) -> None:
        self._tables = tables
        self._rules = rules
        self._stats = stats
        self._penalty_of = penalty_of
        self._chance = chance
        self._timers: Deadlines[tuple[str, Timer]] = Deadlines()
        self._kill_pauses: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def of(self, task_id: str, timer: Timer) -> float | None:
        return self._timers.of((task_id, timer))

    def next_wake(self) -> float | None:
        return self._timers.next_wake()

    # --- tasks come and go ------------------------------------------------------------------------------------------

    def moved(self, move: Move, turn: Turn) -> None:
        if move.before is not None:
            self._forget(move.before)
        self._set(move.task, turn.now.mono, move.wait_ms / 1000, gives_up_after_s(move.task.config))

    def deleted(self, task: ScheduledTask, turn: Turn) -> None:
        self._forget(task)

    def restored(self, task: ScheduledTask, now: Now) -> None:
        """Found in the store: what was left of its time is worked out, but for time-outs, which begin anew."""
        now_ms = int(now.wall * 1000)
        wait, patience = 0.0, None
        if task.status is ScheduleStatus.THROTTLED:
            wait = left_s(entered_at_ms(task, task.status), self._penalty_of(task) / 1000, now_ms)
        elif task.status is ScheduleStatus.PARTITIONED:
            patience = gives_up_after_s(task.config)
            if patience is not None:
                patience = left_s(entered_at_ms(task, task.status), patience, now_ms)
        self._set(task, now.mono, wait, patience)

    def disown(self, task: ScheduledTask, now: float) -> None:
        """It can't come back; it is lost when its turn comes."""
        self._timers.set((task.id, Timer.DISOWN), now)

    def _forget(self, task: ScheduledTask) -> None:
        for timer in _TIMERS[task.status]:
            self._timers.cancel((task.id, timer))
        self._kill_pauses.pop(task.id, None)

    def _set(self, task: ScheduledTask, now: float, wait_s: float, patience_s: float | None) -> None:
        status = task.status
        if status is ScheduleStatus.THROTTLED:
            self._timers.set((task.id, Timer.THROTTLE_END), now + wait_s)
        elif status is ScheduleStatus.PARTITIONED and patience_s is not None:
            self._timers.set((task.id, Timer.GIVE_UP), now + patience_s)
        elif status in TRANSIENT:
            self._timers.set((task.id, Timer.TIME_OUT), now + self._rules.transient_s)
        if status in ENDING:
            self._pause(task.id, now)

    def _pause(self, task_id: str, now: float) -> None:
        pause = self._rules.kill_retry.next(self._kill_pauses.get(task_id, 0.0), self._chance())
        self._kill_pauses[task_id] = pause
        self._timers.set((task_id, Timer.KILL_RETRY), now + pause)

    # --- what is due ------------------------------------------------------------------------------------------------

    def step(self, turn: Turn, states: StateManager, is_registered: bool, most: int) -> None:
        """Does at most so many things. Nothing is declared lost as long as nobody can say how it is."""
        for task_id, timer in self._timers.due(turn.now.mono, most):
            task = self._tables.tasks.get(task_id)
            if task is None or task.status not in _STATES[timer]:
                continue  # an earlier one of these has ended it
            if not is_registered and timer is not Timer.THROTTLE_END:
                self._timers.set((task_id, timer), turn.now.mono + self._rules.recheck_s)
            else:
                self._do(turn, states, task, timer)

    def _do(self, turn: Turn, states: StateManager, task: ScheduledTask, timer: Timer) -> None:
        match timer:
            case Timer.THROTTLE_END:
                states.change(turn, task.id, ScheduleStatus.PENDING, expected=task.status)
            case Timer.TIME_OUT:
                self._stats.timed_out_tasks += 1
                states.change(turn, task.id, ScheduleStatus.LOST, TIMED_OUT, expected=task.status)
            case Timer.GIVE_UP:
                self._stats.partition_timeouts += 1
                states.change(turn, task.id, ScheduleStatus.LOST, PARTITIONED_TOO_LONG, expected=task.status)
            case Timer.DISOWN:
                states.change(turn, task.id, ScheduleStatus.LOST, FRAMEWORK_GONE, expected=task.status)
            case Timer.KILL_RETRY:
                self._stats.kill_retries += 1
                states.kill_again(turn, task)
                self._pause(task.id, turn.now.mono)
            case _:
                assert_never(timer)
