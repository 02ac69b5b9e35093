"""The simulation: scripts come true, the same seed gives the same events, faults lose nothing that Mesos keeps."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesos.core.messages import TERMINAL_STATES, ExecutorID
from mesos.core.scheduler_api import message
from mesos.core.wire import encode
from mesos.local.core.protocol import StatusUpdate
from mesos.local.faults import Act, Rule, Way
from mesos.local.simulation import Simulation
from tests.mesos.local.rim.world import Framework, amounts

FAST = {"agent_ping_timeout_s": 1.0, "max_agent_ping_timeouts": 3, "allocation_interval_s": 0.2}
QUICK = {"registration_backoff_factor_s": 0.1}


def simulation(agents: int = 2, seed: int = 1, **fields: object) -> Simulation:
    made = Simulation(agents, seed, master_options=FAST, agent_options=QUICK, **fields)  # type: ignore[arg-type]
    made.advance(1.0)
    return made


@pytest.mark.parametrize(
    ("script", "states"),
    [
        ({"run_s": 3}, ["RUNNING", "FINISHED"]),
        ({"run_s": 3, "start_s": 5}, ["RUNNING", "FINISHED"]),
        ({"run_s": 0, "ends": "TASK_FAILED"}, ["RUNNING", "FAILED"]),
        ({"run_s": 1, "crashes": 256}, ["RUNNING", "FAILED"]),
    ],
)
def test_a_task_does_what_its_script_says(script: dict[str, object], states: list[str]) -> None:
    world = simulation()
    framework = Framework(world)
    free = amounts(world)
    framework.launch("t", **script)
    framework.wait("t", states[-1])
    assert framework.states("t") == states
    assert world.run_until(lambda: amounts(world) == free)


def test_killed_tasks_end_when_they_say_so() -> None:
    framework = Framework(simulation())
    framework.launch("t", kill_s=7)
    running = framework.wait("t", "RUNNING")
    framework.kill("t")
    killed = framework.wait("t", "KILLED")
    assert killed.timestamp is not None and running.timestamp is not None
    assert killed.timestamp - running.timestamp >= 7


def test_a_task_that_ignores_its_kill_goes_on_until_its_executor_is_killed() -> None:
    world = simulation()
    framework = Framework(world)
    framework.launch("t", ignores_kill=True)
    framework.wait("t", "RUNNING")
    framework.kill("t")
    world.advance(60)
    assert framework.states("t") == ["RUNNING"]
    number = next(a.number for a in world.agents if a.executors)
    world.kill_executor(number, "executor-of-t")
    framework.wait("t", "FAILED")


def test_an_executor_that_can_not_start_fails_its_task() -> None:
    framework = Framework(simulation())
    offer = framework.offer()
    framework.take(offer, framework.task(offer, "t", executor={"fails": "no such image"}))
    status = framework.wait("t", "FAILED")
    assert (status.reason, status.message) == (
        "REASON_CONTAINER_LAUNCH_FAILED",
        "Failed to launch container: no such image",
    )


def test_an_executor_that_never_subscribes_is_given_up() -> None:
    framework = Framework(simulation())
    offer = framework.offer()
    framework.take(offer, framework.task(offer, "t", executor={"never_subscribes": True}))
    assert framework.wait("t", "FAILED").reason == "REASON_EXECUTOR_REGISTRATION_TIMEOUT"


def test_an_executor_ends_when_it_has_nothing_to_do_unless_it_lingers() -> None:
    world = simulation()
    framework = Framework(world)
    for name, lingers in (("a", False), ("b", True)):
        offer = framework.offer()
        framework.take(offer, framework.task(offer, name, executor={"lingers": lingers}, run_s=1))
        framework.wait(name, "FINISHED")
    world.advance(5)
    left = [e.start.executor.executor_id.value for agent in world.agents for e in agent.executors]
    assert left == ["executor-of-b"]
    assert [f.executor_id.value for f in framework.failures if f.executor_id] == ["executor-of-a"]


def story(seed: int, encoded: bool = False) -> list[bytes]:
    """Everything that a framework hears in a run with tasks, faults, kills."""
    world = simulation(5, seed, encoded=encoded)
    world.faults.drop(Way.TO_MASTER, kind="StatusUpdate", chance=0.3)
    world.faults.reorder(Way.TO_AGENT, chance=0.2)
    framework = Framework(world)
    for number in range(6):
        framework.launch(f"t{number}", run_s=5 + number)
    world.advance(4)
    world.kill_agent(3)
    world.advance(20)
    world.start_agent(3)
    world.kill_master()
    world.advance(3)
    world.start_master()
    framework.scheduler.subscribe()
    world.advance(120)
    return [encode(event) for event in framework.events]


def test_the_same_seed_gives_the_same_events_and_another_seed_others() -> None:
    first = story(7)
    assert len(first) > 20
    assert story(7) == first
    assert story(8) != first


def test_events_through_json_and_back_are_the_same() -> None:
    assert story(7, encoded=True) == story(7)


def test_a_lost_update_comes_again_and_counts_once() -> None:
    world = simulation()
    framework = Framework(world)
    rule = world.faults.drop(Way.TO_MASTER, kind="StatusUpdate", times=3)
    framework.launch("t", run_s=1)
    framework.wait("t", "FINISHED", 600)
    assert rule.fired == 3
    assert framework.states("t") == ["RUNNING", "FINISHED"]


def test_an_update_that_is_not_acknowledged_is_said_again() -> None:
    world = simulation()
    framework = Framework(world)
    framework.acknowledges = False
    framework.launch("t")
    framework.wait("t", "RUNNING")
    world.advance(35)
    assert framework.heard.count("UPDATE") >= 3
    assert framework.states("t") == ["RUNNING"]


def test_a_doubled_launch_is_one_task() -> None:
    world = simulation()
    framework = Framework(world)
    rule = world.faults.duplicate(Way.TO_AGENT, kind="RunTask")
    framework.launch("t", run_s=2)
    framework.wait("t", "FINISHED")
    world.advance(30)
    assert rule.fired == 1
    assert framework.terminal("t") == ["TASK_FINISHED"]


def test_an_agent_cut_off_is_unreachable_and_its_task_back_with_it() -> None:
    world = simulation()
    framework = Framework(world)
    offer = framework.launch("t")
    framework.wait("t", "RUNNING")
    number = next(agent.number for agent in world.agents if agent.disk.agent_id == offer.agent_id)
    rules = world.faults.partition(number)
    status = framework.wait("t", "UNREACHABLE")
    assert rules[1].fired  # pings; without them the agent says nothing
    assert status.unreachable_time is not None
    world.faults.remove(*rules)
    assert world.run_until(lambda: framework.states("t")[-1] == "RUNNING", 120)
    framework.kill("t")
    framework.wait("t", "KILLED")
    assert framework.terminal("t") == ["TASK_KILLED"]


def test_an_agent_killed_and_back_keeps_its_task_and_id() -> None:
    world = simulation()
    framework = Framework(world)
    offer = framework.launch("t")
    framework.wait("t", "RUNNING")
    agent = next(agent for agent in world.agents if agent.disk.agent_id == offer.agent_id)
    world.kill_agent(agent.number)
    world.advance(1)
    world.start_agent(agent.number)
    world.advance(10)
    assert agent.disk.agent_id == offer.agent_id
    framework.kill("t")
    framework.wait("t", "KILLED")
    assert framework.states("t") == ["RUNNING", "KILLED"]


def test_an_update_said_while_the_agent_was_away_is_not_lost() -> None:
    world = simulation()
    framework = Framework(world)
    offer = framework.launch("t", run_s=3)
    framework.wait("t", "RUNNING")
    number = next(agent.number for agent in world.agents if agent.disk.agent_id == offer.agent_id)
    world.kill_agent(number)
    world.advance(1.5)  # FINISHED falls into the time without an agent
    world.start_agent(number)
    framework.wait("t", "FINISHED")
    assert framework.terminal("t") == ["TASK_FINISHED"]


def test_a_framework_that_does_not_checkpoint_loses_its_task_with_the_agent() -> None:
    world = simulation()
    framework = Framework(world, checkpoint=False)
    offer = framework.launch("t")
    framework.wait("t", "RUNNING")
    number = next(agent.number for agent in world.agents if agent.disk.agent_id == offer.agent_id)
    world.kill_agent(number)
    world.advance(1)
    world.start_agent(number)
    assert world.run_until(lambda: bool(framework.terminal("t")), 60)


def test_a_master_killed_and_back_knows_agents_and_tasks_again() -> None:
    world = simulation()
    framework = Framework(world)
    framework.launch("t")
    framework.wait("t", "RUNNING")
    assert world.master is not None
    old = world.master.identity
    world.kill_master()
    world.advance(5)
    assert not framework.scheduler.is_subscribed
    world.start_master()
    framework.scheduler.subscribe()
    world.advance(5)
    assert world.master is not None
    assert world.master.identity != old
    assert framework.scheduler.is_subscribed
    framework.statuses.clear()
    framework.reconcile()
    framework.wait("t", "RUNNING")
    framework.kill("t")
    framework.wait("t", "KILLED")


def test_an_agent_shut_down_takes_its_tasks_with_it() -> None:
    world = simulation()
    framework = Framework(world)
    offer = framework.launch("t")
    framework.wait("t", "RUNNING")
    agent = next(agent for agent in world.agents if agent.disk.agent_id == offer.agent_id)
    world.shutdown_agent(agent.number)
    assert world.run_until(lambda: framework.states("t")[-1] != "RUNNING", 60)
    assert world.run_until(lambda: agent.host is None, 60)
    assert agent.executors == ()
    world.forget_agent(agent.number)
    world.start_agent(agent.number)
    assert world.run_until(lambda: agent.disk.agent_id not in (None, offer.agent_id), 60)


def test_a_framework_message_goes_there_and_back() -> None:
    world = simulation()
    framework = Framework(world)
    offer = framework.launch("t")
    framework.wait("t", "RUNNING")
    framework.scheduler.call(message(offer.agent_id, ExecutorID(value="executor-of-t"), b"hello"))
    assert world.run_until(lambda: framework.messages == [b"hello"])


def test_thousands_of_agents_are_offered_and_run_a_task_each() -> None:
    world = simulation(2000)
    world.advance(5)
    framework = Framework(world)
    assert world.run_until(lambda: len(framework.offers) == 2000, 30)
    for number, offer in enumerate(list(framework.offers.values())):
        framework.take(offer, framework.task(offer, f"t{number}", run_s=number % 7))
    assert world.run_until(lambda: sum(map(len, map(framework.terminal, list(framework.statuses)))) == 2000, 120)
    assert all(framework.states(f"t{number}") == ["RUNNING", "FINISHED"] for number in range(2000))


TASKS = st.fixed_dictionaries(
    {},
    optional={
        "run_s": st.floats(0, 30),
        "start_s": st.floats(0, 5),
        "kill_s": st.floats(0, 5),
        "crashes": st.sampled_from([0, 256, 9]),
        "ends": st.sampled_from(["TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"]),
    },
)
#: Everything but what TCP does not do to an executor's stream, and doubled calls of the scheduler: an offer that is
#: accepted twice is two launches of one task, of which Mesos refuses one.
FAULTS = [
    (way, act)
    for way in Way
    for act in Act
    if way is not Way.TO_EXECUTOR and (way, act) != (Way.FROM_SCHEDULER, Act.DUPLICATE)
]
RULES = st.lists(st.tuples(st.sampled_from(FAULTS), st.floats(0.05, 0.5), st.floats(0.1, 5)), min_size=1, max_size=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TASKS, min_size=1, max_size=8), RULES, st.integers(0, 2**16))
def test_under_random_faults_every_task_ends_once_and_resources_add_up(
    scripts: list[dict[str, object]], rules: list[tuple[tuple[Way, Act], float, float]], seed: int
) -> None:
    """Messages are lost, doubled, late and out of order; agents die and come back. At last, what does not end by itself
    is killed. Every task has one terminal state, and all resources are free again."""
    world = simulation(3, seed)
    framework = Framework(world)
    free = amounts(world)
    for (way, act), chance, delay in rules:
        world.faults.add(Rule(way, act, chance=chance, delay_s=delay))
    random = Random(seed)
    for number, script in enumerate(scripts):
        if world.run_until(lambda: bool(framework.offers), 60):
            framework.launch(f"t{number}", **script)
        if random.random() < 0.3:
            victim = random.randrange(3)
            world.kill_agent(victim)
            world.advance(random.random() * 5)
            world.start_agent(victim)
        world.advance(random.random() * 5)
    world.faults.clear()
    for agent in world.agents:  # a re-registration tells the master what did not arrive
        world.kill_agent(agent.number)
        world.start_agent(agent.number)
    world.advance(60)

    def all_over() -> bool:
        """Asks about what is open, as a scheduler does: a task that its agent does not know is gone."""
        framework.reconcile(*framework.open_tasks)
        world.advance(1)
        for name in framework.open_tasks:
            framework.kill(name)
        world.advance(15)
        return amounts(world) == free and not framework.open_tasks

    assert any(all_over() for _ in range(60)), f"{amounts(world)} is not {free}; {framework.open_tasks}"
    for name in framework.launched:  # the same may be said more than once, another not
        assert len(Counter(framework.terminal(name))) == 1, framework.statuses[name]


def test_rules_of_the_link_fired_in_such_runs() -> None:
    """The property above would prove nothing if its faults never happened."""
    world = simulation(3, 5)
    framework = Framework(world)
    rules = [world.faults.add(Rule(way, act, chance=0.3, delay_s=1.0)) for way in RULE_WAYS for act in Act]
    for number in range(5):
        framework.launch(f"t{number}", run_s=10)
        world.advance(10)
    assert [rule.act for rule in rules if rule.fired == 0] == []


RULE_WAYS = (Way.TO_MASTER, Way.TO_AGENT)


def test_a_rule_may_look_into_messages() -> None:
    world = simulation()
    framework = Framework(world)

    def is_terminal(message: StatusUpdate) -> bool:
        return message.status.state in TERMINAL_STATES

    rule = world.faults.drop(Way.TO_MASTER, kind="StatusUpdate", match=is_terminal, times=1)
    framework.launch("t", run_s=1)
    framework.wait("t", "FINISHED", 60)
    assert rule.fired == 1


def test_an_executor_that_is_alone_for_too_long_gives_up() -> None:
    world = simulation(1)
    framework = Framework(world)
    framework.launch("t")
    framework.wait("t", "RUNNING")
    world.kill_agent(0)
    world.advance(899)
    assert len(world.agents[0].executors) == 1
    world.advance(2)
    assert world.agents[0].executors == ()
    world.start_agent(0)
    assert world.run_until(lambda: bool(framework.terminal("t")), 60)
