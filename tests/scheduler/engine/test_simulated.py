"""On the embedded Mesos, in virtual time: what the model of the other tests says of a master may be wrong; this one is
held to real Mesos by its own conformance tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from msgspec import structs

from mesos.core.messages import TaskInfo, TaskState
from mesos.local.faults import Way
from mesos.local.scripted import TaskScript
from mesos.local.simulation import Simulation
from scheduler.core.backoff import Backoff
from scheduler.core.groups import GroupRules
from scheduler.core.model import PartitionPolicy, TaskConfig
from scheduler.core.states import ScheduleStatus
from scheduler.engine import EngineSettings
from tests.scheduler.core.making import SETTINGS, limit
from tests.scheduler.engine.making import messages, service
from tests.scheduler.engine.simulated import Scheduler

S = ScheduleStatus
QUICK = {"agent_ping_timeout_s": 2.0, "max_agent_ping_timeouts": 2, "agent_reregister_timeout_s": 20.0}
RULES = EngineSettings(SETTINGS, groups=GroupRules(penalty=Backoff(0.5, 5.0)), startup_delay_s=1.0)


def job(name: str, policy: PartitionPolicy | None = None) -> TaskConfig:
    made = service(limit("rack", 100), policy=policy, cpus=0.5, ram=64, ports=("http",))
    return structs.replace(made, job=structs.replace(made.job, name=name))


def begun(agents: int = 4, **more: object) -> Scheduler:
    made = Scheduler(Simulation(agents, master_options=QUICK, **more), RULES)  # type: ignore[arg-type]
    made.simulation.advance(3)
    return made


def run(made: Scheduler, config: TaskConfig, count: int) -> None:
    made.act(lambda turn: made.engine.insert(turn, config, range(count)))
    assert made.simulation.run_until(lambda: made.count(S.RUNNING) == count)


def test_a_cluster_is_filled_within_some_rounds_of_offers() -> None:
    made = begun()
    began = made.simulation.now.mono
    run(made, job("web"), 16)
    assert made.simulation.now.mono - began < 6  # a host's offer comes again every second
    assert len(made.there()) == 16
    assert all(count == 1 for count in made.launched.values())


def test_a_task_has_the_ports_and_the_place_that_its_record_says() -> None:
    made = begun()
    run(made, job("web"), 12)
    places = [task.assigned_task for task in made.tables.tasks.all()]
    used = Counter((place.slave_host, place.assigned_ports["http"]) for place in places)
    assert all(count == 1 for count in used.values())
    for place in places:
        agent = next(agent for agent in made.simulation.agents if agent.config.info.hostname == place.slave_host)
        assert any(place.task_id in executor.tasks for executor in agent.executors)


def test_kills_and_restarts() -> None:
    made = begun()
    run(made, job("web"), 3)
    one, two, _ = made.tables.tasks.all()
    made.act(lambda turn: made.engine.change(turn, one.id, S.KILLING, "by me"))
    made.act(lambda turn: made.engine.change(turn, two.id, S.RESTARTING, "by me"))
    made.simulation.advance(10)
    assert made.count(S.RUNNING) == 2 and made.count(S.KILLED) == 2
    assert len(made.there()) == 2
    ended = made.tables.tasks.get(two.id)
    assert ended is not None and [status for status, _ in messages(ended)][-2:] == ["RESTARTING", "KILLED"]


def test_what_fails_again_and_again_is_throttled() -> None:
    def script(task: TaskInfo) -> TaskScript:
        return TaskScript(run_s=1.0, ends=TaskState.FAILED)

    made = begun(task_script=script)
    made.act(lambda turn: made.engine.insert(turn, job("web"), [0]))
    made.simulation.advance(3600)
    assert 10 <= made.engine.stats.tasks_throttled <= 20  # at last every five minutes
    assert made.engine.stats.tasks_throttled == made.count(S.FAILED)


def test_a_lost_machine() -> None:
    made = begun()
    run(made, job("web"), 8)
    run_before = set(made.there())
    made.simulation.kill_agent(0)
    made.simulation.advance(60)
    assert made.count(S.RUNNING) == 8
    made.simulation.start_agent(0)
    made.simulation.advance(60)
    assert made.count(S.RUNNING) == 8
    assert len(made.there()) == 8  # what came back with it was not wanted any more
    assert set(made.there()) != run_before


def test_a_launch_that_the_agent_never_got() -> None:
    """The master believes that it is on its way, and says so for ever."""
    made = begun()
    rule = made.simulation.faults.drop(Way.TO_AGENT, kind="RunTask", times=1)
    made.act(lambda turn: made.engine.insert(turn, job("web"), [0]))
    made.simulation.advance(250)  # it was asked about after a minute
    assert rule.fired and made.count(S.ASSIGNED) == 1
    made.simulation.advance(60)
    assert made.count(S.RUNNING) == 1 == made.count(S.LOST)


def test_a_machine_that_is_waited_for() -> None:
    made = begun()
    run(made, job("web", PartitionPolicy(reschedule=False)), 8)
    before = made.there()
    made.simulation.kill_agent(0)
    made.simulation.advance(120)
    assert made.count(S.PARTITIONED) > 0
    made.simulation.start_agent(0)
    made.simulation.advance(30)
    assert made.count(S.RUNNING) == 8 and made.there() == before


def test_another_master_and_another_scheduler_change_nothing() -> None:
    made = begun()
    run(made, job("web"), 8)
    before = made.there()
    made.simulation.kill_master()
    made.simulation.advance(5)
    made.restart()
    made.simulation.start_master()
    made.simulation.advance(400)
    assert made.there() == before
    assert made.count(S.RUNNING) == 8 == len(made.launched)


def trouble(made: Scheduler) -> list[Callable[[], object]]:
    """What may happen, to somebody."""
    simulation, random = made.simulation, made.simulation.random
    agent = random.randrange(len(simulation.agents))

    def lose(way: Way) -> Callable[[], object]:
        return lambda: simulation.faults.drop(way, times=3, chance=0.5)

    def double(way: Way) -> Callable[[], object]:
        return lambda: simulation.faults.duplicate(way, times=3, chance=0.5)

    def forget() -> None:
        simulation.kill_agent(agent)
        simulation.forget_agent(agent)

    def end_executor() -> None:
        for executor in simulation.agents[agent].executors[:1]:
            executor.kill()

    def wish() -> None:
        tasks = [task.id for task in made.tables.tasks.all() if task.status is S.RUNNING]
        if tasks:
            made.act(lambda turn: made.engine.change(turn, random.choice(tasks), S.RESTARTING))

    return [
        lambda: simulation.kill_agent(agent),
        lambda: simulation.start_agent(agent),
        forget,
        simulation.kill_master,
        simulation.start_master,
        simulation.start_master,
        made.restart,
        made.link.disconnect,
        end_executor,
        wish,
        wish,
        *map(lose, (Way.TO_SCHEDULER, Way.FROM_SCHEDULER, Way.TO_MASTER, Way.TO_AGENT)),
        *map(double, (Way.TO_SCHEDULER, Way.TO_MASTER, Way.TO_AGENT)),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_trouble_and_peace(seed: int) -> None:
    made = begun(agents=8, seed=seed)
    simulation = made.simulation
    for name, policy in (("now", None), ("later", PartitionPolicy(delay_secs=30))):
        config = job(name, policy)
        made.act(lambda turn, config=config: made.engine.insert(turn, config, range(8)))  # type: ignore[misc]
    simulation.advance(5)
    for _ in range(60):
        simulation.random.choice(trouble(made))()
        simulation.advance(simulation.random.choice((0.1, 1.0, 5.0, 30.0)))
    fired = sum(rule.fired for rule in simulation.faults.rules)
    assert fired
    simulation.faults.clear()
    simulation.start_master()
    for number in range(8):
        simulation.start_agent(number)
    simulation.advance(2 * 3600)  # both reconciliations have been
    active = [task for task in made.tables.tasks.all() if task.is_active]
    assert Counter(task.status for task in active) == {S.RUNNING: 16}
    assert made.there() == sorted(task.id for task in active)
