"""A job in a world, and updates of it, for the tests of one behaviour each."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from mesos.core.messages import TaskState
from scheduler.core.canonical import populated_config
from scheduler.core.model import JobKey, ScheduledTask, TaskConfig
from scheduler.core.update_model import (
    BatchStrategy,
    JobUpdateKey,
    JobUpdateRequest,
    JobUpdateSettings,
    UpdateStrategy,
)
from scheduler.core.update_states import Wish
from scheduler.core.validation import Rules
from scheduler.service import updates
from scheduler.service.context import Context, ServiceSettings
from scheduler.store.update_table import UpdateEntry
from tests.scheduler.core.making import JOB
from tests.scheduler.engine.harness import World
from tests.scheduler.engine.making import service, world

OLD = populated_config(service(cpus=0.25, ram=64), Rules())


def new(priority: int = 1, **more: Any) -> TaskConfig:
    return structs.replace(OLD, priority=priority, **more)


def batches(size: int = 1, **more: Any) -> JobUpdateSettings:
    return JobUpdateSettings(update_strategy=UpdateStrategy(batch_strategy=BatchStrategy(group_size=size)), **more)


class Updated:
    """A job of some running instances in a world; its tasks start and stop when told to."""

    def __init__(self, instances: int = 3, rules: Rules | None = None, agents: int = 4, **settings: Any) -> None:
        self.world: World = world(agents, **settings)
        self.rules = rules or Rules()
        self.sick = False  # new tasks fail instead of running
        if instances:
            self.world.running(OLD, instances)
        self.world.advance(3600)

    @property
    def context(self) -> Context:
        return Context(self.world.engine, ServiceSettings(cluster="c", rules=self.rules))

    def start(
        self, config: TaskConfig | None = None, count: int = 3, settings: JobUpdateSettings | None = None, **more: Any
    ) -> JobUpdateKey:
        request = JobUpdateRequest(
            task_config=config or new(), instance_count=count, settings=settings or batches(), **more
        )
        made = self.world.act(lambda turn: updates.start_update(self.context, turn, request, "ann"))
        assert made.key is not None, made.message
        return made.key

    def wish(self, wish: Wish, job: JobKey = JOB) -> str:
        return self.world.act(lambda turn: updates.wish(self.context, turn, job, "active", wish, "bob")).status

    def pulse(self, job: JobKey = JOB) -> str:
        return self.world.act(lambda turn: updates.pulse(self.context, turn, job, "active")).status

    # --- time passes

    def work(self, seconds: float = 10.0) -> None:
        """Everything that is launched runs (or fails) within a second."""
        for _ in range(int(seconds)):
            self.world.master.offer_all()
            self.world.deliver()
            for agent in self.world.master.agents.values():
                for task in agent.alive():
                    if task.state is not TaskState.RUNNING:
                        self.world.master.progress(agent, task, self._next(task.info.task_id.value))
            self.world.deliver()
            self.world.advance(1)

    def _next(self, task_id: str) -> TaskState:
        is_new = self.world.task(task_id).config.priority > 0
        return TaskState.FAILED if is_new and self.sick else TaskState.RUNNING

    # --- looking

    def entry(self, key: JobUpdateKey) -> UpdateEntry:
        found = self.world.tables.updates.get(key)
        assert found is not None
        return found

    def told(self, key: JobUpdateKey) -> list[tuple[str, str | None]]:
        return [(event.status.value, event.message) for event in self.entry(key).events]

    def status(self, key: JobUpdateKey) -> str:
        return self.entry(key).state.status.value

    def actions(self, key: JobUpdateKey) -> list[tuple[int, str]]:
        words = [(event.instance_id, event.action.value) for event in self.entry(key).instance_events]
        return [(instance, word.removeprefix("INSTANCE_")) for instance, word in words]

    def priorities(self) -> dict[int, int]:
        """Of the configuration of each active instance."""
        tasks = self.world.tables.tasks.active_of_job(JOB)
        return {task.assigned_task.instance_id: task.config.priority for task in tasks}

    def task(self, instance: int) -> ScheduledTask:
        tasks = self.world.tables.tasks.active_of_job(JOB)
        (found,) = [task for task in tasks if task.assigned_task.instance_id == instance]
        return found

    def waits(self, key: JobUpdateKey) -> list[str]:
        return [str(each) for each in self.world.engine.updates.waits_for(self.entry(key), self.world.now)]
