"""Anything may happen in any order: tasks live and die, agents come and go, messages get lost, disks fill, the
scheduler is killed. Whatever happens, what the harness checks holds at every moment; and when it is over everything
runs."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from mesos.core.messages import TaskState
from scheduler.core.groups import GroupRules
from scheduler.core.model import JobKey, PartitionPolicy, TaskConfig
from scheduler.core.prune import PruneRules
from scheduler.core.states import ACTIVE, TERMINAL, ScheduleStatus
from scheduler.engine import EngineSettings, InstanceTaken
from tests.scheduler.core.making import SETTINGS, config, limit
from tests.scheduler.engine.cluster import Agent, OnAgent
from tests.scheduler.engine.harness import World

S = ScheduleStatus


def job(name: str, service: bool, policy: PartitionPolicy | None = None, **more: int) -> TaskConfig:
    constraints = tuple(limit(attribute, most) for attribute, most in more.items())
    made = config(*constraints, cpus=0.75, ram=100, ports=("http",), job=JobKey(role="r", environment="e", name=name))
    return structs.replace(made, is_service=service, max_task_failures=3, partition_policy=policy)


WAITED_FOR = job("waited", True, PartitionPolicy(reschedule=False))
JOBS = [
    job("plain", True),
    job("patient", True, PartitionPolicy(delay_secs=60), rack=2),
    WAITED_FOR,
    job("once", False),
]
INSTANCES = 3


class Chaos(World):
    """What may happen; each takes a number that says to whom, or how."""

    def __init__(self, seed: int) -> None:
        rules = PruneRules(keep_s=3 * 3600, most_per_job=4, at_least_s=600)
        groups = GroupRules(tasks_per_attempt=1 + seed % 3, attempts_per_s=(None, 5.0)[seed % 2])
        super().__init__(EngineSettings(SETTINGS, pruning=rules, groups=groups, startup_delay_s=5.0), seed)
        self.subscribe()

    def do_add(self, n: int) -> None:
        try:
            self.add(JOBS[n % len(JOBS)], n // len(JOBS) % INSTANCES)
        except InstanceTaken:
            self.faults.fired["instance taken"] += 1

    def do_kill(self, n: int) -> None:
        self._wish(n, S.KILLING)

    def do_restart_task(self, n: int) -> None:
        self._wish(n, (S.RESTARTING, S.DRAINING, S.PREEMPTING)[n % 3])

    def do_delete(self, n: int) -> None:
        ended = sorted(task.id for task in self.tables.tasks.all() if task.status in TERMINAL)
        if ended:
            self.act(lambda turn: self.engine.delete(turn, [ended[n % len(ended)], "unknown"]))

    def do_offer(self, n: int) -> None:
        self.master.offer_all()

    def do_rescind(self, n: int) -> None:
        offers = sorted(self.master.outstanding)
        if offers:
            self.master.rescind(offers[n % len(offers)])
            self.faults.fired["offers rescinded"] += 1
            if n % 2:  # before it is offered
                self.master.inbox.appendleft(self.master.inbox.pop())

    def do_start_task(self, n: int) -> None:
        self._progress(n, (TaskState.STAGING, TaskState.STARTING), (TaskState.STARTING, TaskState.RUNNING))

    def do_end_task(self, n: int) -> None:
        alive = (TaskState.STAGING, TaskState.STARTING, TaskState.RUNNING)
        self._progress(n, alive, (TaskState.FAILED, TaskState.FINISHED, TaskState.KILLED))

    def do_deliver(self, n: int) -> None:
        self.deliver(n % 5 + 1)

    def do_repeat(self, n: int) -> None:
        if self.master.connected:
            before = len(self.master.inbox)
            self.master.say_again()
            self.faults.fired["statuses repeated"] += len(self.master.inbox) - before

    def do_reorder(self, n: int) -> None:
        inbox = self.master.inbox
        if len(inbox) > 1:
            inbox.rotate(n % len(inbox))
            self.faults.fired["messages reordered"] += 1

    def do_lose_message(self, n: int) -> None:
        inbox = self.master.inbox
        if inbox and inbox[0].status is not None:
            inbox.popleft()
            self.faults.fired["statuses lost"] += 1

    def do_lose_agent(self, n: int) -> None:
        agent = self._agent(n)
        if agent.reachable and self.master.connected:
            self.master.lose(agent)
            self.faults.fired["agents out of sight"] += 1

    def do_find_agent(self, n: int) -> None:
        agent = self._agent(n)
        if not agent.reachable and self.master.connected:
            self.master.find(agent)
            self.faults.fired["agents back"] += 1

    def do_destroy_agent(self, n: int) -> None:
        if n % 3 == 0:
            self.master.destroy(self._agent(n))
            self.faults.fired["agents destroyed"] += 1

    def do_disconnect(self, n: int) -> None:
        if self.master.connected:
            self.disconnect()
            self.faults.fired["disconnected"] += 1

    def do_connect(self, n: int) -> None:
        if not self.master.connected:
            self.subscribe(again=True)

    def do_forget(self, n: int) -> None:
        if n % 4 == 0 and self.master.connected:
            self.forget()
            self.faults.fired["frameworks forgotten"] += 1

    def do_restart(self, n: int) -> None:
        if n % 2:
            self.restart()
            self.subscribe()
            self.faults.fired["restarted"] += 1

    def do_advance(self, n: int) -> None:
        self.advance((0.01, 1, 10, 60, 400, 4000)[n % 6])

    def do_jump(self, n: int) -> None:
        """The wall clock is set."""
        self.wall = max(1_600_000_000.0, self.wall + (3600 if n % 2 else -3600))
        self.faults.fired["clock set"] += 1

    def do_lag(self, n: int) -> None:
        self.lag = not self.lag
        if not self.lag:
            self.settle()

    def do_settle(self, n: int) -> None:
        self.settle(n % 3 + 1)

    def do_fail(self, n: int) -> None:
        self.fail()

    def do_drop(self, n: int) -> None:
        self.faults.drop_calls = 0.5 if n % 3 == 0 else 0.0

    def _wish(self, n: int, to: ScheduleStatus) -> None:
        active = sorted(task.id for task in self.tables.tasks.all() if task.status in ACTIVE)
        if active:
            self.wish(active[n % len(active)], to)

    def _agent(self, n: int) -> Agent:
        return self.master.agents[sorted(self.master.agents)[n % len(self.master.agents)]]

    def _progress(self, n: int, before: tuple[TaskState, ...], after: tuple[TaskState, ...]) -> None:
        agents = self.master.agents.values()
        found: list[tuple[Agent, OnAgent]] = [
            (agent, task) for agent in agents for task in agent.alive() if task.state in before
        ]
        if found:
            agent, task = found[n % len(found)]
            self.master.progress(agent, task, after[n % len(after)])

    # --- peace ------------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """No more faults: everybody is there, and does what they should, for some hours."""
        self.faults.drop_calls = 0.0
        self.lag = False
        self.settle()
        self.disconnect()
        for agent in self.master.agents.values():
            agent.reachable = True
        self.subscribe(again=True)
        for pause in [10] * 10 + [200] * 40:  # less than a time-out
            self.master.offer_all()
            self.deliver()
            self._work()
            self.advance(pause)
        self.check()

    def _work(self) -> None:
        for agent in list(self.master.agents.values()):
            for task in agent.alive():
                if task.state is not TaskState.RUNNING:
                    self.master.progress(agent, task, TaskState.RUNNING)
                elif "once" in task.info.name:
                    self.master.progress(agent, task, TaskState.FINISHED)
        self.deliver()

    def check_peace(self) -> None:
        tasks = list(self.tables.tasks.all())
        there = set(self.master.alive())
        for task in tasks:
            if task.config == WAITED_FOR and task.status is S.PARTITIONED:
                assert self.master.where(task.id) == (None, None)  # its agent is gone for good, and it is waited for
            elif task.config.is_service and task.is_active:
                assert task.status is S.RUNNING and task.id in there, (task.id, task.status)
        known = {task.id for task in tasks if task.status is S.RUNNING}
        assert there == known, "nothing runs that we don't know"
        assert not any(task.unacked for agent in self.master.agents.values() for task in agent.tasks.values())


ACTIONS = [name for name in dir(Chaos) if name.startswith("do_")]
#: What keeps the world going comes more often than what stops it.
WEIGHTS = Counter(dict.fromkeys(ACTIONS, 1)) + Counter(
    {"do_add": 5, "do_offer": 5, "do_deliver": 8, "do_start_task": 8, "do_advance": 6, "do_end_task": 3, "do_settle": 2}
)
CHOICES = sorted(WEIGHTS.elements())

scripts = st.lists(st.tuples(st.sampled_from(CHOICES), st.integers(0, 1000)), max_size=80)


def play(world: Chaos, script: list[tuple[str, int]]) -> None:
    """Things happen, by their names; then peace."""
    for name, number in script:
        getattr(world, name)(number)
        world.check()
    world.heal()
    world.check_peace()


@given(scripts, st.integers(0, 5))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happens(script: list[tuple[str, int]], seed: int) -> None:
    play(Chaos(seed), script)


FAULTS = {
    "instance taken", "offers rescinded", "statuses repeated", "messages reordered", "statuses lost",
    "agents out of sight", "agents back", "agents destroyed", "disconnected", "restarted", "clock set",
    "commits failed", "turns lost in a crash", "launches taken back", "launches without a master",
    "frameworks forgotten", "LaunchTasks lost", "KillTask lost", "AcknowledgeStatus lost", "DeclineOffers lost",
}  # fmt: skip


def test_long_lives_in_which_every_fault_fires() -> None:
    fired: Counter[str] = Counter()
    for seed in range(10):
        world = Chaos(seed)
        play(world, [(world.random.choice(CHOICES), world.random.randrange(1000)) for _ in range(400)])
        fired += world.faults.fired
    assert set(fired) >= FAULTS
