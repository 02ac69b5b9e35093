"""The plain way: subscribe, be offered, launch, hear of it, kill, acknowledge, reconcile."""

from __future__ import annotations

from mesos.core import scheduler_api as api
from mesos.core.messages import scalar
from mesos.local.core import protocol

from .harness import FakeFramework, World, task


def test_an_agent_is_offered_to_a_framework() -> None:
    world = World()
    agent = world.agent(attributes="rack:r0")
    framework = world.framework("web")
    assert [event.type for event in framework.events] == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    offer = framework.offer()
    assert offer.hostname == "a0" and offer.agent_id.value == agent.id
    assert offer.allocation_info is not None and offer.allocation_info.role == "web"
    assert [attribute.name for attribute in offer.attributes] == ["rack"]
    assert offer.url is not None and offer.url.path == "/slave(1)"
    assert {r.name for r in offer.resources} == {"cpus", "mem", "disk", "ports"}
    assert all(r.allocation_info is not None and r.allocation_info.role == "web" for r in offer.resources)


def test_launch_run_kill() -> None:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1", own=[scalar("cpus", 0.1)]))
    (status,) = framework.updates()
    assert (status.state, bool(status.uuid)) == ("TASK_RUNNING", True)
    assert any(isinstance(m, protocol.AcknowledgeUpdate) for m in agent.heard)
    framework.kill("t1")
    (status,) = framework.updates()
    assert status.state == "TASK_KILLED"
    assert not world.master.cluster.frameworks[framework.id].tasks
    agent.executor_exits(framework.id, "ex", 9)
    (failure,) = framework.take("FAILURE")
    assert failure.failure is not None and failure.failure.status == 9
    world.advance(1)
    cpus = [
        r.scalar.value for o in framework.offers() for r in o.resources if r.name == "cpus" and r.scalar is not None
    ]
    assert sum(cpus) == 4.0


def test_what_is_left_over_comes_with_the_next_tick() -> None:
    world = World()
    world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    assert framework.offers() == []
    world.advance(1)
    again = framework.offer()
    assert [r.scalar.value for r in again.resources if r.name == "cpus" and r.scalar is not None] == [3.0]
    assert [e.value for e in again.executor_ids] == ["ex"]


def test_messages_both_ways() -> None:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    executor = task(offer, "t1").executor
    assert executor is not None
    framework.call(api.message(offer.agent_id, executor.executor_id, b"hello"))
    assert [m.data for m in agent.heard if isinstance(m, protocol.MessageExecutor)] == [b"hello"]
    back = protocol.ExecutorMessage(
        framework_id=api.FrameworkID(value=framework.id),
        agent_id=offer.agent_id,
        executor_id=executor.executor_id,
        data=b"x",
    )
    world.from_agent(agent, back)
    (event,) = framework.take("MESSAGE")
    assert event.message is not None and event.message.data == b"x"


def reconciling() -> tuple[World, FakeFramework, str]:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    framework.updates()
    return world, framework, agent.id


def test_reconcile() -> None:
    _, framework, agent = reconciling()
    latest = ("t1", "TASK_RUNNING", "REASON_RECONCILIATION", "Reconciliation: Latest task state")
    assert framework.reconcile() == [latest]
    assert framework.reconcile(("t1", None)) == [latest]
    assert framework.reconcile(("t1", "another")) == [latest]
    assert framework.reconcile(("t2", None), ("t2", agent), ("t2", "another")) == [
        ("t2", "TASK_UNKNOWN", "REASON_RECONCILIATION", "Reconciliation: Task is unknown"),
        ("t2", "TASK_GONE", "REASON_RECONCILIATION", "Reconciliation: Task is unknown to the agent"),
        ("t2", "TASK_UNKNOWN", "REASON_RECONCILIATION", "Reconciliation: Task is unknown"),
    ]
