"""What is asked of the master about tasks, in the turns that are due for it.

Source: spec/scheduler.md §8.4. When, and in which portions, scheduler.core.reconcile decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from scheduler.core.effects import ReconcileTasks
from scheduler.core.reconcile import Due, Reconciler, ReconciliationRules
from scheduler.core.states import AGENT_ASSIGNED
from scheduler.engine_stats import EngineStats
from scheduler.store.tables import Tables
from scheduler.store.task_query import TaskQuery
from scheduler.turn import Turn


class Questions:
    def __init__(
        self,
        tables: Tables,
        rules: ReconciliationRules,
        stats: EngineStats,
        now: float,
        chance: Callable[[], float],
    ) -> None:
        self.schedule = Reconciler(rules, now, chance)
        self._tables = tables
        self._stats = stats

    def subscribed(self, now: float) -> None:
        """What was said in between, or before the start, was said to nobody: it is asked for at once."""
        known = any(self._tables.tasks.count(status) for status in AGENT_ASSIGNED)
        self.schedule.subscribed(now, at_once=known)

    def ask(self, turn: Turn, tasks: Sequence[str] | None) -> None:
        """About these tasks; none given: about all that have an agent. None: what the master knows at all."""
        if tasks is None:
            self._ask_all(turn)
        else:
            self.schedule.ask(tasks or self._with_agent(), turn.now.mono)

    def step(self, turn: Turn) -> None:
        while (due := self.schedule.due(turn.now.mono)) is not None:
            match due:
                case Due.LIST:
                    self._stats.explicit_reconciliations += 1
                    self.schedule.ask(self._with_agent(), turn.now.mono)
                case Due.PORTION:
                    self._ask_about(turn, self.schedule.portion(turn.now.mono))
                case Due.IMPLICIT:
                    self._ask_all(turn)

    def _with_agent(self) -> list[str]:
        return [task.id for task in self._tables.tasks.select(TaskQuery(statuses=AGENT_ASSIGNED))]

    def _ask_about(self, turn: Turn, task_ids: Iterable[str]) -> None:
        """What has ended since it was listed is left out; what we don't know is asked about all the same."""
        asked: list[tuple[str, str | None]] = []
        for task_id in task_ids:
            task = self._tables.tasks.get(task_id)
            if task is None:
                asked.append((task_id, None))
            elif task.status in AGENT_ASSIGNED:
                asked.append((task_id, task.assigned_task.slave_id or None))
        if asked:
            turn.tell(ReconcileTasks(tuple(asked)))

    def _ask_all(self, turn: Turn) -> None:
        self._stats.implicit_reconciliations += 1
        turn.tell(ReconcileTasks())
