"""Agents away and back, silent, unregistered, gone: what frameworks hear, word for word as from a real master."""

from __future__ import annotations

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, AgentInfo, ExecutorID
from mesos.local.core import protocol
from mesos.local.core.resource_text import parse_resources

from .harness import MODERN, FakeAgent, FakeFramework, World, task


def running(capabilities: tuple[str, ...] = MODERN, **changes: object) -> tuple[World, FakeAgent, FakeFramework]:
    world = World(agent_ping_timeout_s=1.0, max_agent_ping_timeouts=3)
    agent = world.agent()
    framework = world.framework(capabilities=capabilities, **changes)  # type: ignore[arg-type]
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    framework.updates()
    world.advance(1)
    framework.offers()
    framework.events.clear()
    return world, agent, framework


def test_pings_are_answered() -> None:
    world, agent, _ = running()
    agent.heard.clear()
    world.advance(100)
    pings = [m for m in agent.heard if isinstance(m, protocol.Ping)]
    assert len(pings) == 100 and all(ping.connected for ping in pings)
    assert agent.id in world.master.cluster.agents


def test_a_broken_link() -> None:
    world, agent, framework = running()
    agent.break_link()
    assert framework.types == ["RESCIND"]
    assert not world.master.cluster.agents[agent.id].offered
    assert framework.reconcile(("t1", None), ("t2", agent.id)) == [
        ("t1", "TASK_RUNNING", "REASON_RECONCILIATION", "Reconciliation: Latest task state"),
        ("t2", "TASK_GONE", "REASON_RECONCILIATION", "Reconciliation: Task is unknown to the agent"),
    ]
    agent.come_back()
    assert framework.types == ["RESCIND", "OFFERS"]
    assert world.master.cluster.agents[agent.id].tasks[framework.id]["t1"].state == "TASK_RUNNING"


def test_tasks_of_frameworks_that_do_not_checkpoint_are_lost() -> None:
    world, agent, framework = running(checkpoint=False)
    agent.break_link()
    text = "Agent a0 disconnected"
    assert framework.said() == [("t1", "TASK_LOST", "REASON_AGENT_DISCONNECTED", text)]
    assert not world.master.cluster.agents[agent.id].used
    agent.come_back()
    assert [status.state for status in framework.updates()] == ["TASK_KILLED"], "what still runs there is killed"


def test_a_kill_reaches_an_agent_that_was_away() -> None:
    _, agent, framework = running()
    agent.break_link()
    framework.kill("t1")
    assert framework.updates() == []
    agent.come_back()
    assert [status.state for status in framework.updates()] == ["TASK_KILLED"]


@pytest.mark.parametrize(("capabilities", "state"), [(MODERN, "TASK_UNREACHABLE"), ((), "TASK_LOST")])
def test_an_agent_that_answers_no_pings(capabilities: tuple[str, ...], state: str) -> None:
    world, agent, framework = running(capabilities)
    other = world.framework("db")
    agent.deaf = True
    world.advance(2)
    assert framework.types == []
    world.advance(2)
    assert framework.types == ["UPDATE", "RESCIND", "FAILURE"] or framework.types == ["UPDATE", "FAILURE"]
    (status,) = framework.updates()
    assert (status.state, status.reason, status.message) == (state, "REASON_AGENT_REMOVED", "health check timed out")
    assert status.unreachable_time is not None and not status.uuid and status.source == "SOURCE_MASTER"
    assert status.executor_id == ExecutorID(value="ex")
    (failure,) = other.take("FAILURE")
    assert failure.failure == api.Failure(agent_id=AgentID(value=agent.id))
    known = state == "TASK_UNREACHABLE"
    assert [(s, t) for _, s, _, t in framework.reconcile(("t1", None), ("t1", agent.id))] == [
        ("TASK_UNKNOWN" if known else "TASK_LOST", "Reconciliation: Task is unknown"),
        (state, "Reconciliation: Task is unreachable"),
    ]
    assert framework.reconcile() == []
    framework.kill("t1")
    assert [(s, t) for _, s, _, t in framework.said()] == [
        ("TASK_UNKNOWN" if known else "TASK_LOST", "Reconciliation: Task is unknown")
    ]


@pytest.mark.parametrize("capabilities", [MODERN, ()])
def test_an_unreachable_agent_returns(capabilities: tuple[str, ...]) -> None:
    world, agent, framework = running(capabilities)
    agent.deaf = True
    world.advance(5)
    framework.events.clear()
    agent.come_back()
    text = "Unreachable agent re-reregistered"
    assert framework.said() == [("t1", "TASK_RUNNING", "REASON_AGENT_REREGISTERED", text)]
    assert not world.master.cluster.frameworks[framework.id].unreachable
    assert framework.offers() and agent.id in world.master.cluster.agents
    framework.kill("t1")
    assert [status.state for status in framework.updates()] == ["TASK_KILLED"]


def test_an_agent_that_is_silent_for_less_is_kept() -> None:
    world, agent, framework = running()
    agent.deaf = True
    world.advance(2.5)
    agent.deaf = False
    world.advance(100)
    assert "FAILURE" not in framework.types


def test_an_agent_that_does_not_come_back_after_its_link_broke() -> None:
    world = World(agent_ping_timeout_s=1000.0, agent_reregister_timeout_s=600.0)
    agent = world.agent()
    framework = world.framework()
    agent.break_link()
    world.advance(599)
    assert agent.id in world.master.cluster.agents
    world.advance(2)
    assert agent.id in world.master.cluster.unreachable
    assert framework.take("FAILURE")


@pytest.mark.parametrize(("capabilities", "state"), [(MODERN, "TASK_DROPPED"), ((), "TASK_LOST")])
def test_an_agent_that_comes_back_without_a_task(capabilities: tuple[str, ...], state: str) -> None:
    """It is asked; what it does not know it says to be dropped."""
    world, agent, framework = running(capabilities)
    agent.tasks.clear()
    agent.break_link()
    agent.come_back()
    text = "Reconciliation: task unknown to the agent"
    assert framework.said() == [("t1", state, "REASON_RECONCILIATION", text)]
    assert world.master.cluster.agents[agent.id].used.scalars() == {}
    assert not world.master.cluster.frameworks[framework.id].tasks


def test_an_executor_that_did_not_come_back_holds_nothing() -> None:
    world, agent, framework = running()
    agent.executors.clear()
    agent.break_link()
    agent.come_back()
    assert not world.master.cluster.agents[agent.id].executors
    assert not world.master.cluster.frameworks[framework.id].executors_on


def test_it_unregisters() -> None:
    world, agent, framework = running()
    world.from_agent(agent, protocol.UnregisterAgent(agent_id=AgentID(value=agent.id)))
    assert framework.types == ["UPDATE", "RESCIND", "FAILURE"]
    text = "Agent a0 removed: the agent unregistered"
    assert framework.said() == [("t1", "TASK_LOST", "REASON_AGENT_REMOVED", text)]
    assert [(s, t) for _, s, _, t in framework.reconcile(("t1", agent.id))] == [
        ("TASK_UNKNOWN", "Reconciliation: Task is unknown")
    ]


def test_it_is_marked_gone() -> None:
    world, agent, framework = running()
    answer = world.master.operator(
        {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": agent.id}}}, None, world.now
    )
    world.perform(answer.effects)
    assert answer.status == 200 and agent.ended == "Agent has been marked gone"
    text = "Agent has been marked gone"
    assert framework.said() == [("t1", "TASK_GONE_BY_OPERATOR", "REASON_AGENT_REMOVED_BY_OPERATOR", text)]
    assert [(s, t) for _, s, _, t in framework.reconcile(("t1", agent.id))] == [
        ("TASK_GONE_BY_OPERATOR", "Reconciliation: Task is gone")
    ]
    agent.ended = ""
    agent.come_back()
    assert agent.ended == "Agent has been marked gone"


def test_a_new_agent_at_an_old_one_s_address() -> None:
    world, agent, framework = running()
    again = msgspec.structs.replace(agent.info, id=None)
    agent.break_link()
    newer = FakeAgent(world, again, "other")
    world.links["other"] = newer
    world.from_agent(newer, protocol.RegisterAgent(info=again))
    assert newer.id != agent.id
    text = "Agent a0 removed: a new agent registered at the same address"
    assert framework.said() == [("t1", "TASK_LOST", "REASON_AGENT_REMOVED", text)]


def test_a_registration_that_is_repeated() -> None:
    world = World()
    agent = world.agent()
    world.from_agent(agent, protocol.RegisterAgent(info=agent.info))
    assert len(world.master.cluster.agents) == 1
    assert len([m for m in agent.heard if isinstance(m, protocol.AgentRegistered)]) == 2


def test_an_agent_may_not_change_its_place() -> None:
    _, agent, _ = running()
    agent.come_back(info=msgspec.structs.replace(agent.info, hostname="elsewhere"))
    assert agent.ended == "Agent attempted to reregister with different IP / hostname"


def test_more_resources_than_before() -> None:
    _world, agent, framework = running()
    agent.break_link()
    agent.total = parse_resources("cpus:8;mem:4096")
    framework.events.clear()
    agent.come_back()
    offer = framework.offer()
    assert [r.scalar.value for r in offer.resources if r.name == "cpus" and r.scalar is not None] == [7.0]


def test_words_of_strangers_are_ignored() -> None:
    world, agent, framework = running()
    update = agent.status(framework.id, "t1", "TASK_FAILED")
    before = world.master.cluster.counts.total()
    for changed in (
        msgspec.structs.replace(update, agent_id=AgentID(value="x")),
        msgspec.structs.replace(update, framework_id=api.FrameworkID(value="x")),
    ):
        world.from_agent(agent, changed)
    world.from_agent(agent, protocol.Pong(agent_id=AgentID(value="x")))
    world.from_agent(agent, protocol.UnregisterAgent(agent_id=AgentID(value="x")))
    world.from_agent(agent, protocol.ReregisterAgent(info=AgentInfo(hostname="h")))
    world.perform(world.master.link_broken("x", world.now))
    world.perform(world.master.stream_closed("x", world.now))
    assert framework.updates() == [] and world.master.cluster.counts.total() > before


def test_an_update_twice_is_told_twice_and_counts_once() -> None:
    world, agent, framework = running()
    framework.ack = False
    update = agent.status(framework.id, "t1", "TASK_FINISHED")
    world.from_agent(agent, update)
    world.from_agent(agent, update)
    assert len(framework.updates()) == 2
    assert framework.id in world.master.cluster.agents[agent.id].tasks, "known until it is acknowledged"
    framework.call(api.acknowledge(update.status))
    assert framework.id not in world.master.cluster.agents[agent.id].tasks
    framework.call(api.acknowledge(update.status))


def test_shutdown_of_an_executor() -> None:
    _, agent, framework = running()
    framework.call(api.shutdown(ExecutorID(value="ex"), AgentID(value=agent.id)))
    assert any(isinstance(m, protocol.ShutdownExecutor) for m in agent.heard)
    agent.executor_exits(framework.id, "ex", 256)
    (failure,) = framework.take("FAILURE")
    assert failure.failure == api.Failure(
        agent_id=AgentID(value=agent.id), executor_id=ExecutorID(value="ex"), status=256
    )


def test_bounds() -> None:
    world = World(
        agent_ping_timeout_s=1.0, max_agent_ping_timeouts=1, max_lost_agents=3, max_completed_tasks_per_framework=5,
        max_unreachable_tasks_per_framework=2,
    )  # fmt: skip
    framework = world.framework()
    for number in range(6):
        agent = world.agent(f"a{number}")
        offer = framework.offers()[-1]
        for n in range(4):
            framework.launch(offer, task(offer, f"t{number}-{n}"))
            world.advance(0.99)
            offers = framework.offers()
            if offers:
                offer = offers[-1]
        framework.kill(f"t{number}-0")
        agent.deaf = True
        world.advance(3)
    cluster = world.master.cluster
    assert len(cluster.unreachable) == 3 and not cluster.agents
    assert len(cluster.frameworks[framework.id].unreachable) == 2
    assert len(cluster.frameworks[framework.id].completed) <= 5
    assert len(cluster.timers) < 20
