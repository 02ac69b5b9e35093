"""A job in a world of its own, on virtual time: agents that start and stop tasks at their pace, tasks that fail, and
updates that are driven through it as the scheduler does, with what has to hold checked at every step.

Tasks change by the real table of transitions. Chance is a `random.Random` of the test's own.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from msgspec import structs

from scheduler.core.model import AssignedTask, CountSlaPolicy, ScheduledTask, SlaPolicy, TaskConfig, TaskEvent
from scheduler.core.reschedule import replacement
from scheduler.core.states import ScheduleStatus
from scheduler.core.transitions import Effect, Facts, transition
from scheduler.core.update_decision import AddInstance, KillInstance, UpdateDecision
from scheduler.core.update_diff import diff_instances, instructions_of
from scheduler.core.update_machine import decide_wish, sla_passed, step
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    BatchStrategy,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateAction,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateState,
    JobUpdateStatus,
    JobUpdateSummary,
    QueueStrategy,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_progress import Progress, progress_of
from scheduler.core.update_pulse import pulse_after_restart
from scheduler.core.update_states import Wish
from scheduler.core.update_strategy import strategy_of
from scheduler.core.update_watch import WaitKind
from tests.scheduler.core.making import JOB, config

S, U, A = ScheduleStatus, JobUpdateStatus, JobUpdateAction

BEGIN_MS = 1_700_000_000_000

OLD = structs.replace(config(cpus=1.0), is_service=True)
NEW = structs.replace(config(cpus=0.5), is_service=True)
OTHER = structs.replace(OLD, priority=7)


def settings_of(
    queue: int | None = None,
    batch: int | None = None,
    var: tuple[int, ...] | None = None,
    pause: bool = False,
    base: JobUpdateSettings | None = None,
) -> JobUpdateSettings:
    strategy = UpdateStrategy(
        queue_strategy=None if queue is None else QueueStrategy(group_size=queue),
        batch_strategy=None if batch is None else BatchStrategy(group_size=batch, autopause_after_batch=pause),
        var_batch_strategy=None if var is None else VarBatchStrategy(group_sizes=var, autopause_after_batch=pause),
    )
    return structs.replace(base or JobUpdateSettings(), update_strategy=strategy)


@dataclass
class Habits:
    """How tasks behave. Milliseconds; `lives`: None for ever, else it fails after so long."""

    place_ms: Callable[[], int] = lambda: 100
    start_ms: Callable[[], int] = lambda: 1000
    stop_ms: Callable[[], int] = lambda: 500
    throttle_ms: Callable[[], int] = lambda: 2000
    lives: Callable[[ScheduledTask], int | None] = lambda task: None


@dataclass
class JobWorld:
    habits: Habits = field(default_factory=Habits)
    now_ms: int = BEGIN_MS
    tasks: dict[str, ScheduledTask] = field(default_factory=dict)
    agenda: list[tuple[int, int, str, ScheduleStatus | None, ScheduleStatus]] = field(default_factory=list)
    stuck: set[int] = field(default_factory=set)  # instances that are never placed

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._by_instance: dict[int, list[str]] = {}

    # -- looking

    def look(self, instance: int) -> list[ScheduledTask]:
        return [self.tasks[each] for each in self._by_instance.get(instance, ()) if each in self.tasks]

    def active(self) -> dict[int, ScheduledTask]:
        return {task.assigned_task.instance_id: task for task in self.tasks.values() if task.is_active}

    def configs(self) -> dict[int, TaskConfig]:
        return {instance: task.config for instance, task in sorted(self.active().items())}

    def running(self) -> int:
        return sum(task.status is S.RUNNING for task in self.tasks.values())

    # -- changing

    def add(self, instance: int, wanted: TaskConfig) -> ScheduledTask:
        assert instance not in self.active(), f"instance {instance} is there already"
        number = next(self._numbers)
        assigned = AssignedTask(task_id=f"t{number:05}", task=wanted, instance_id=instance)
        task = ScheduledTask(assigned_task=assigned)
        self._keep(task)
        self.change(task.id, S.PENDING)
        return self.tasks[task.id]

    def settle(self, instances: Mapping[int, TaskConfig]) -> None:
        """They run, and have done so for long."""
        for instance, wanted in instances.items():
            task = self.add(instance, wanted)
            for status in (S.ASSIGNED, S.RUNNING):
                self.change(task.id, status)
        self.now_ms += 3_600_000
        self.agenda.clear()

    def change(self, task_id: str, to: ScheduleStatus, expected: ScheduleStatus | None = None) -> bool:
        """Whether anything was done."""
        task = self.tasks.get(task_id)
        if task is None:
            return False
        facts = Facts(
            is_service=task.config.is_service,
            failures=task.failure_count,
            was_killing=any(event.status is S.KILLING for event in task.task_events),
        )
        outcome = transition(task.status, to, facts, expected=expected)
        for effect in outcome.effects:
            self._perform(task_id, to, effect)
        return bool(outcome.effects)

    def _perform(self, task_id: str, to: ScheduleStatus, effect: Effect) -> None:
        task = self.tasks[task_id]
        if effect is Effect.SAVE_STATE:
            self._save(task, to)
        elif effect is Effect.RESCHEDULE:
            penalty = self.habits.throttle_ms() if to is S.FAILED else 0
            new = replacement(task, f"{next(self._numbers):05}", penalty, self.now_ms)
            self._keep(new)
            self._plan(new)
        elif effect is Effect.TRANSITION_TO_LOST:
            self.change(task_id, S.LOST)
        elif effect is Effect.KILL and to is not S.LOST:
            self._at(self.habits.stop_ms(), task, None, S.KILLED)
        elif effect is Effect.DELETE:
            del self.tasks[task_id]

    def _save(self, task: ScheduledTask, to: ScheduleStatus) -> None:
        event = TaskEvent(timestamp=self.now_ms, status=to)
        task = structs.replace(task, status=to, task_events=(*task.task_events, event))
        if to is S.ASSIGNED:
            placed = structs.replace(task.assigned_task, slave_id=f"a{next(self._numbers)}")
            task = structs.replace(task, assigned_task=placed)
        self.tasks[task.id] = task
        self._plan(task)

    def _plan(self, task: ScheduledTask) -> None:
        """What the world will do with it next."""
        match task.status:
            case S.THROTTLED:
                self._at(self.habits.throttle_ms(), task, S.THROTTLED, S.PENDING)
            case S.PENDING if task.assigned_task.instance_id not in self.stuck:
                self._at(self.habits.place_ms(), task, S.PENDING, S.ASSIGNED)
            case S.ASSIGNED:
                self._at(self.habits.start_ms() // 2, task, S.ASSIGNED, S.STARTING)
            case S.STARTING:
                self._at((self.habits.start_ms() + 1) // 2, task, S.STARTING, S.RUNNING)
            case S.RUNNING:
                lives = self.habits.lives(task)
                if lives is not None:
                    self._at(lives, task, S.RUNNING, S.FAILED)

    def _keep(self, task: ScheduledTask) -> None:
        self.tasks[task.id] = task
        self._by_instance.setdefault(task.assigned_task.instance_id, []).append(task.id)

    def _at(self, delay_ms: int, task: ScheduledTask, expected: ScheduleStatus | None, to: ScheduleStatus) -> None:
        heappush(self.agenda, (self.now_ms + delay_ms, next(self._numbers), task.id, expected, to))

    def advance(self, limit_ms: int | None) -> bool:
        """To the next moment at which something happens, not beyond the limit; False: nothing ever does."""
        if self.agenda and (limit_ms is None or self.agenda[0][0] <= limit_ms):
            self.now_ms = max(self.now_ms, self.agenda[0][0])
            while self.agenda and self.agenda[0][0] <= self.now_ms:
                _, _, task_id, expected, to = heappop(self.agenda)
                self.change(task_id, to, expected)
            return True
        if limit_ms is None:
            return False
        self.now_ms = max(self.now_ms, limit_ms)
        return True


def update_of(instructions: JobUpdateInstructions, created_ms: int = BEGIN_MS) -> JobUpdate:
    coordinated = instructions.settings.block_if_no_pulses_after_ms > 0
    status = U.ROLL_FORWARD_AWAITING_PULSE if coordinated else U.ROLLING_FORWARD
    state = JobUpdateState(status=status, created_timestamp_ms=created_ms, last_modified_timestamp_ms=created_ms)
    summary = JobUpdateSummary(key=JobUpdateKey(job=JOB, id="u1"), user="ann", state=state)
    return JobUpdate(summary=summary, instructions=instructions)


_BACKWARD = frozenset({A.INSTANCE_ROLLING_BACK, A.INSTANCE_ROLLED_BACK, A.INSTANCE_ROLLBACK_FAILED})


@dataclass
class Begun:
    """Instances that began together; the lowest number that ran from then until others began."""

    instances: list[int]
    lowest: int


class Driver:
    """One update in the world, as the scheduler drives it. `forgetful`: it throws its state away after each step;
    `checked`: what has to hold is looked at in each step."""

    def __init__(
        self,
        world: JobWorld,
        wanted: TaskConfig,
        count: int,
        settings: JobUpdateSettings,
        only: Iterable[int] | None = None,
        forgetful: bool = False,
        checked: bool = True,
        allows: Callable[[SlaPolicy], bool] = lambda policy: True,
    ) -> None:
        self.world = world
        self.previous = world.configs()
        self.diff = diff_instances(self.previous, wanted, count, None if only is None else set(only))
        instructions = instructions_of(self.diff, self.previous, wanted, settings)
        self.update = update_of(instructions, world.now_ms)
        self.settings = settings
        self.forgetful = forgetful
        self.checked = checked
        self.allows = allows
        self.last_pulse_ms = 0
        self.loses: Callable[[], bool] = lambda: False  # whether an act is forgotten
        self.decision = UpdateDecision()
        self.begun: list[Begun] = []
        self.events = [JobUpdateEvent(status=self.update.summary.state.status, timestamp_ms=world.now_ms, user="ann")]
        self.instance_events: list[JobInstanceUpdateEvent] = []
        self.progress = Progress(self.update)
        self._catch_up()

    @property
    def status(self) -> JobUpdateStatus:
        return self.progress.status

    @property
    def in_works(self) -> set[int]:
        return set(self.progress.way.begun)

    def told(self) -> list[tuple[str, str | None]]:
        return [(event.status.value, event.message) for event in self.events]

    def actions(self, instance: int) -> list[str]:
        return [each.action.value for each in self.instance_events if each.instance_id == instance]

    # -- driving

    def settle(self) -> None:
        """Steps until nothing more is to be done now."""
        for _ in range(1000):
            self.decision = self._decide()
            if self.checked:
                self._check(self.decision)
            before = self.world.running()
            self._store(self.decision)
            done = [self._perform(act) for act in self.decision.acts]
            self._note(self.decision, before)
            if self.decision.event is None and not any(done):
                return
        raise AssertionError("an update that never settles")

    def begin(self) -> None:
        """One step, of which only the events are kept."""
        self._store(self._decide())

    def run(self, until: Callable[[], bool] | None = None, limit: int = 20_000) -> None:
        """Until it has ended, or `until` holds, or nothing ever happens any more."""
        for _ in range(limit):
            self.settle()
            if self.status not in UPDATE_ACTIVE or (until is not None and until()):
                return
            if not self.world.advance(self.decision.wake_at_ms):
                return
        raise AssertionError("an update that never ends")

    def wish(self, wish: Wish, message: str | None = None) -> None:
        event = decide_wish(self.progress, wish, "bob", message, self.last_pulse_ms, self.world.now_ms)
        if event is not None:
            self.events.append(event)
            self._catch_up()
        self.settle()

    def pulse(self) -> None:
        self.last_pulse_ms = self.world.now_ms
        self.settle()

    def restart(self) -> None:
        """Of the scheduler: only what is stored is left."""
        self.progress = progress_of(self.update, self.events, self.instance_events)
        self.last_pulse_ms = pulse_after_restart(self.progress)

    def _decide(self) -> UpdateDecision:
        now = self.world.now_ms
        decision = step(self.progress, self.world.look, self.last_pulse_ms, now)
        if not self.checked:
            return decision
        fresh = progress_of(self.update, self.events, self.instance_events)
        assert step(fresh, self.world.look, self.last_pulse_ms, now) == decision, "what is stored tells all"
        if self.forgetful:
            self.progress = fresh
        return decision

    def _store(self, decision: UpdateDecision) -> None:
        self.instance_events += decision.instance_events
        if decision.event is not None:
            self.events.append(decision.event)
        self._catch_up()

    def _catch_up(self) -> None:
        self.progress.catch_up(self.events, self.instance_events)

    def _perform(self, act: KillInstance | AddInstance) -> bool:
        if self.loses():
            return True
        if isinstance(act, AddInstance):
            self.world.add(act.instance, act.config)
            return True
        if act.policy is not None:
            if not self.allows(act.policy):
                return False
            self.instance_events.append(sla_passed(self.progress, act.instance, self.world.now_ms))
            self._catch_up()
        return self.world.change(act.task_id, S.KILLING)

    def _note(self, decision: UpdateDecision, running_before: int) -> None:
        words = self.progress.forward.words
        begun = [each.instance_id for each in decision.instance_events if each.action is words.begun]
        if begun:
            self.begun.append(Begun(begun, running_before))
        if self.begun:
            self.begun[-1].lowest = min(self.begun[-1].lowest, self.world.running())

    # -- what has to hold

    def _check(self, decision: UpdateDecision) -> None:
        events = [*self.instance_events, *decision.instance_events]
        flight = set(progress_of(self.update, self.events, events).way.begun)
        assert len(flight) <= self._most(flight), f"{sorted(flight)} at once"
        down = flight | self._left_behind()
        assert len(flight) <= 1 or len(down) <= self._most(flight), f"{sorted(down)} in the works at the turn"
        touched = {act.instance for act in decision.acts}
        assert touched <= flight, "only instances in the works are touched"
        assert not touched & set(self.diff.unchanged), "unchanged instances are left alone"
        again = Counter((each.instance_id, each.action, each.message) for each in events)
        assert max(again.values(), default=1) == 1, "an event is recorded once"
        assert decision.event is None or not decision.acts, "an update that turns does nothing else"

    def _most(self, flight: set[int]) -> int:
        strategy = strategy_of(self.settings)
        if strategy.queue_strategy is not None:
            return strategy.queue_strategy.group_size
        group = next((set(group) for group in self.progress.forward.walk.groups if flight & set(group)), set[int]())
        assert flight <= group, "one batch at a time"
        return len(group)

    def _left_behind(self) -> set[int]:
        """In a queue that goes back: begun on the way forward, and not taken up again yet."""
        if self.progress.way is self.progress.forward or strategy_of(self.settings).queue_strategy is None:
            return set()
        seen = {each.instance_id for each in self.instance_events if each.action in _BACKWARD}
        now = self.world.configs()
        left = {
            instance for instance in self.progress.forward.begun if now.get(instance) != self.previous.get(instance)
        }
        return left - seen

    def check_end(self) -> None:
        """The promise of the status in which it ended."""
        now = self.world.configs()
        ours = set(self.progress.forward.walk.order)
        others = {instance: each for instance, each in self.previous.items() if instance not in ours}
        assert {instance: each for instance, each in now.items() if instance not in ours} == others
        ways = {U.ROLLED_FORWARD: self.progress.forward, U.ROLLED_BACK: self.progress.backward}
        way = ways.get(self.status)
        if way is None:
            return
        failed = {instance for instance, well in way.ended.items() if not well}
        assert len(failed) <= self.settings.max_failed_instances
        for instance in ours - failed:
            assert now.get(instance) == way.targets.get(instance), f"instance {instance} is not as promised"


def world_of(current: Mapping[int, TaskConfig], habits: Habits | None = None) -> JobWorld:
    world = JobWorld(habits or Habits())
    world.settle(current)
    return world


def uneven(chance: Random, most_ms: int = 3000) -> Habits:
    """Every task at its own pace."""
    return Habits(
        place_ms=lambda: chance.randrange(most_ms),
        start_ms=lambda: chance.randrange(most_ms),
        stop_ms=lambda: chance.randrange(most_ms),
        throttle_ms=lambda: 1 + chance.randrange(most_ms),
    )


WATCH = JobUpdateSettings(min_wait_in_instance_running_ms=5000)
POLICY = SlaPolicy(count_sla_policy=CountSlaPolicy(count=1, duration_secs=60))
PULSED = structs.replace(WATCH, block_if_no_pulses_after_ms=60_000)


def job_of(size: int, lives: dict[int, int] | None = None) -> JobWorld:
    """`lives`: new tasks of these instances fail after so long."""

    def life(task: ScheduledTask) -> int | None:
        return (lives or {}).get(task.assigned_task.instance_id) if task.config == NEW else None

    return world_of(dict.fromkeys(range(size), OLD), Habits(lives=life))


def kinds(decision: UpdateDecision) -> list[tuple[int | None, WaitKind]]:
    """Of what is waited for, with the instance."""
    return [(each.instance, each.what) for each in decision.waits_for]
