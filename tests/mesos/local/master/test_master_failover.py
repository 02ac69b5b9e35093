"""A master that died: the next one has its registry, agents and frameworks bring back the rest."""

from __future__ import annotations

from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, OperationID
from mesos.local.core import protocol

from .harness import FakeAgent, FakeFramework, World, task


def failed_over() -> tuple[World, FakeAgent, FakeAgent, FakeFramework]:
    world = World()
    first, second = world.agent("a0"), world.agent("a1")
    framework = world.framework()
    for offer in framework.offers():
        framework.launch(offer, task(offer, f"t-{offer.hostname}", executor=f"ex-{offer.hostname}"))
    world.new_master()
    return world, first, second, world.framework(again=framework)


def test_unknown_tasks_stay_unanswered_until_the_agents_are_back() -> None:
    _world, first, second, framework = failed_over()
    assert framework.id == "m1-0000" and framework.types == ["SUBSCRIBED"]
    unknown = ("TASK_UNKNOWN", "Reconciliation: Task is unknown")
    wanted = (("t-a0", None), ("t-a0", first.id), ("zz", None), ("zz", first.id), ("zz", "foreign"))
    assert [(n, s, t) for n, s, _, t in framework.reconcile(*wanted)] == [("zz", *unknown)]
    framework.kill("t-a0")
    assert framework.updates() == []
    first.come_back()
    assert [(n, s) for n, s, _, _ in framework.reconcile(("t-a0", None), ("zz", None), ("zz", first.id))] == [
        ("t-a0", "TASK_RUNNING"),
        ("zz", "TASK_GONE"),
    ]
    second.come_back()
    assert [(n, s) for n, s, _, _ in framework.reconcile(("zz", None))] == [("zz", "TASK_UNKNOWN")]
    assert sorted(n for n, _, _, _ in framework.reconcile()) == ["t-a0", "t-a1"]
    assert len(framework.offers()) == 2
    framework.kill("t-a0")
    assert [status.state for status in framework.updates()] == ["TASK_KILLED"]


def test_agents_that_do_not_come_back_are_unreachable() -> None:
    world, first, second, framework = failed_over()
    first.come_back()
    world.advance(601)
    assert [e.failure for e in framework.take("FAILURE")] == [api.Failure(agent_id=AgentID(value=second.id))]
    assert [(s, t) for _, s, _, t in framework.reconcile(("t-a1", second.id))] == [
        ("TASK_UNREACHABLE", "Reconciliation: Task is unreachable")
    ]
    assert [s for _, s, _, _ in framework.reconcile(("zz", None))] == ["TASK_UNKNOWN"]
    second.come_back()
    assert [n for n, _, r, _ in framework.said() if r == "REASON_AGENT_REREGISTERED"] == ["t-a1"]


def test_operations_of_agents_that_are_awaited() -> None:
    _, first, _, framework = failed_over()
    wanted = api.ReconcileOperation(operation_id=OperationID(value="x"), agent_id=AgentID(value=first.id))
    framework.call(api.reconcile_operations([wanted]))
    (event,) = framework.take("UPDATE_OPERATION_STATUS")
    assert event.update_operation_status is not None
    status = event.update_operation_status.status
    assert status.state == "OPERATION_RECOVERING"
    assert status.message == "Reconciliation: Agent is recovered but has not re-registered"


def test_a_framework_that_only_agents_know() -> None:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    world.new_master()
    agent.come_back()
    known = world.master.cluster.frameworks[framework.id]
    assert known.phase == "recovered" and set(known.tasks) == {"t1"}
    view = world.master.operator({"type": "GET_FRAMEWORKS"}, None, world.now).body
    assert isinstance(view, dict)
    (shown,) = view["get_frameworks"]["frameworks"]
    assert (shown["recovered"], shown["active"], shown["connected"]) == (True, False, False)
    again = world.framework(again=framework)
    assert again.reconcile()[0][:2] == ("t1", "TASK_RUNNING")
    assert world.master.cluster.frameworks[framework.id].phase == "active"


def test_a_framework_that_never_comes_back_is_removed() -> None:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    world.new_master()
    agent.come_back()
    world.advance(61)
    assert framework.id in world.master.cluster.completed
    assert not agent.tasks and not world.master.cluster.agents[agent.id].used


def test_frameworks_that_are_over_end_on_agents_that_return() -> None:
    world = World(agent_ping_timeout_s=1.0, max_agent_ping_timeouts=1)
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    agent.deaf = True
    world.advance(5)
    framework.call(api.teardown())
    agent.come_back()
    assert any(isinstance(m, protocol.ShutdownFramework) for m in agent.heard)
    assert not agent.tasks and not world.master.cluster.agents[agent.id].used


def test_what_the_registry_keeps() -> None:
    world = World(agent_ping_timeout_s=1.0, max_agent_ping_timeouts=1)
    gone, lost, drained = world.agent("a0"), world.agent("a1"), world.agent("a2")
    limit = {"role": "web", "limits": {"cpus": {"value": 1}}}
    for call in (
        {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "web", "weight": 2.0}]}},
        {
            "type": "UPDATE_QUOTA",
            "update_quota": {"quota_configs": [limit]},
        },
        {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": gone.id}}},
        {"type": "DRAIN_AGENT", "drain_agent": {"agent_id": {"value": drained.id}}},
    ):
        answer = world.master.operator(call, None, world.now)
        assert answer.status == 200, answer
        world.perform(answer.effects)
    lost.deaf = True
    world.advance(5)
    world.new_master()
    assert world.master.operator({"type": "GET_WEIGHTS"}, None, world.now).body == {
        "type": "GET_WEIGHTS",
        "get_weights": {"weight_infos": [{"role": "web", "weight": 2.0}]},
    }
    gone.come_back()
    assert gone.ended == "Agent has been marked gone"
    drained.come_back()
    assert world.master.cluster.agents[drained.id].deactivated
    framework = world.framework("web")
    assert framework.offers() == []
    assert [s for _, s, _, _ in framework.reconcile(("t", lost.id))] == ["TASK_UNREACHABLE"]
    lost.come_back()
    offer = framework.offer()
    assert [r.scalar.value for r in offer.resources if r.name == "cpus" and r.scalar is not None] == [1.0]
