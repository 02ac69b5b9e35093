"""Maintenance windows, inverse offers, machines down and up, drained and deactivated agents."""

from __future__ import annotations

import json

import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import InverseOffer
from mesos.local.core import protocol

from .harness import FakeAgent, FakeFramework, World, task

MACHINE = {"hostname": "a0", "ip": "127.0.0.1"}


def window(start: int = 10**18, **more: object) -> dict[str, object]:
    return {"machine_ids": [MACHINE], "unavailability": {"start": {"nanoseconds": start}, **more}}


def post(world: World, path: str, body: object, expect: int = 200) -> str:
    answer = world.master.endpoint("POST", path, {}, json.dumps(body).encode(), world.now)
    world.perform(answer.effects)
    assert answer.status == expect, answer
    return answer.text


def get(world: World, path: str) -> object:
    return world.master.endpoint("GET", path, {}, b"", world.now).body


def call(world: World, kind: str, expect: int = 200, **payload: object) -> object:
    answer = world.master.operator({"type": kind, kind.lower(): payload}, None, world.now)
    world.perform(answer.effects)
    assert answer.status == expect, answer
    return answer.body or answer.text


def inverse(framework: FakeFramework) -> list[InverseOffer]:
    events = framework.take("INVERSE_OFFERS")
    return [offer for e in events if e.inverse_offers is not None for offer in e.inverse_offers.inverse_offers]


def running() -> tuple[World, FakeAgent, FakeFramework]:
    world = World()
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    world.advance(1)
    framework.offers()
    framework.events.clear()
    return world, agent, framework


def test_a_schedule_asks_for_resources_back() -> None:
    world, agent, framework = running()
    post(world, "/maintenance/schedule", {"windows": [window()]})
    assert framework.types == ["RESCIND", "OFFERS"]
    offer = framework.offer()
    assert offer.unavailability is not None and offer.unavailability.start.nanoseconds == 10**18
    world.advance(1)
    (asked,) = inverse(framework)
    assert asked.agent_id is not None and asked.agent_id.value == agent.id and asked.resources == ()
    assert asked.unavailability == offer.unavailability
    world.advance(60)
    assert inverse(framework) == [], "one at a time"
    assert get(world, "/maintenance/status") == {"draining_machines": [{"id": MACHINE}]}


def test_answers_are_kept_and_it_is_asked_again() -> None:
    world, _, framework = running()
    post(world, "/maintenance/schedule", {"windows": [window()]})
    world.advance(1)
    (first,) = inverse(framework)
    framework.call(api.decline_inverse([first.id], 0.1))
    status = get(world, "/maintenance/status")
    assert isinstance(status, dict)
    assert status["draining_machines"][0]["statuses"][0]["status"] == "DECLINE"
    world.advance(1.2)
    (second,) = inverse(framework)
    framework.call(api.accept_inverse([second.id]))
    framework.call(api.accept_inverse([second.id]))
    status = get(world, "/maintenance/status")
    assert isinstance(status, dict)
    assert [s["status"] for s in status["draining_machines"][0]["statuses"]] == ["ACCEPT"]
    world.advance(4)
    assert inverse(framework) == []
    world.advance(2)
    assert len(inverse(framework)) == 1


def test_a_changed_window_is_another_question() -> None:
    world, _, framework = running()
    post(world, "/maintenance/schedule", {"windows": [window()]})
    world.advance(1)
    framework.events.clear()
    post(world, "/maintenance/schedule", {"windows": [window(10**18 + 5)]})
    assert framework.types == ["RESCIND", "RESCIND_INVERSE_OFFER", "OFFERS"]
    world.advance(1)
    assert len(inverse(framework)) == 1
    framework.events.clear()
    post(world, "/maintenance/schedule", {"windows": []})
    assert framework.types == ["RESCIND", "RESCIND_INVERSE_OFFER", "OFFERS"]
    assert framework.offer().unavailability is None
    world.advance(60)
    assert inverse(framework) == [] and get(world, "/maintenance/schedule") == {}
    assert world.master.next_wake is not None


def test_a_framework_with_nothing_there_is_not_asked() -> None:
    world, _, framework = running()
    other = world.framework("other")
    post(world, "/maintenance/schedule", {"windows": [window()]})
    world.advance(5)
    assert len(inverse(framework)) + len(inverse(other)) in (1, 2)
    offered = {offer.framework for offer in world.master.cluster.offers.values()}
    assert (other.id in offered) or not inverse(other)


def test_down_and_up() -> None:
    world, agent, framework = running()
    post(world, "/maintenance/schedule", {"windows": [window()]})
    world.advance(1)
    framework.events.clear()
    post(world, "/machine/down", [MACHINE])
    assert framework.types == ["UPDATE", "RESCIND", "RESCIND_INVERSE_OFFER", "FAILURE"]
    text = "Agent a0 removed: Operator initiated 'Machine DOWN'"
    assert framework.said() == [("t1", "TASK_LOST", "REASON_AGENT_REMOVED", text)]
    assert agent.ended == "Operator initiated 'Machine DOWN'"
    assert get(world, "/maintenance/status") == {"down_machines": [MACHINE]}
    refused = 'Machine \'{"hostname":"a0","ip":"127.0.0.1"}\' is deactivated and cannot be removed from the schedule'
    assert post(world, "/maintenance/schedule", {"windows": []}, 400) == refused
    agent.ended = ""
    agent.come_back()
    assert agent.ended == "Machine is `DOWN`"
    post(world, "/machine/up", [MACHINE])
    assert get(world, "/maintenance/status") == {}
    agent.tasks.clear()
    agent.come_back()
    assert agent.id in world.master.cluster.agents


@pytest.mark.parametrize(
    ("path", "body", "text"),
    [
        (
            "/maintenance/schedule",
            {"windows": [{**window(), "machine_ids": []}]},
            "List of machines in the maintenance window is empty",
        ),
        (
            "/maintenance/schedule",
            {"windows": [{**window(), "machine_ids": [{"hostname": "a"}, {"hostname": "a"}]}]},
            'Machine \'{"hostname":"a"}\' appears more than once in the schedule',
        ),
        (
            "/maintenance/schedule",
            {"windows": [{**window(), "machine_ids": [{}]}]},
            "Both 'hostname' and 'ip' for a machine are empty",
        ),
        (
            "/maintenance/schedule",
            {"windows": [window(duration={"nanoseconds": -5})]},
            "Unavailability 'duration' is negative",
        ),
        (
            "/maintenance/schedule",
            {"windows": [{**window(), "machine_ids": [{"hostname": "a", "ip": "xx"}]}]},
            "Failed to parse IPv4: xx",
        ),
        (
            "/machine/down",
            [MACHINE],
            'Machine \'{"hostname":"a0","ip":"127.0.0.1"}\' is not in DRAINING mode and cannot be brought down',
        ),
        ("/machine/down", [], "List of machines is empty"),
        (
            "/machine/up",
            [MACHINE],
            'Machine \'{"hostname":"a0","ip":"127.0.0.1"}\' is not in DOWN mode and cannot be brought up',
        ),
    ],
)
def test_what_can_not_be_done(path: str, body: object, text: str) -> None:
    world = World()
    world.agent()
    assert post(world, path, body, 400) == text


def test_a_machine_that_nobody_knows() -> None:
    text = 'Machine \'{"hostname":"a0","ip":"127.0.0.1"}\' is not part of a maintenance schedule'
    assert post(World(), "/machine/down", [MACHINE], 400) == text
    assert post(World(), "/machine/up", [MACHINE], 400) == text


def test_an_agent_that_comes_to_a_scheduled_machine() -> None:
    world = World()
    post(world, "/maintenance/schedule", {"windows": [window(duration={"nanoseconds": 5})]})
    world.agent()
    framework = world.framework()
    offer = framework.offer()
    assert offer.unavailability is not None and offer.unavailability.duration is not None
    world.advance(1)
    assert len(inverse(framework)) == 1, "it holds what is offered to it"


# --- drains -------------------------------------------------------------------------------------------------------


def drain_state(world: World, agent: FakeAgent) -> tuple[bool, str | None]:
    body = call(world, "GET_AGENTS")
    assert isinstance(body, dict)
    (shown,) = [a for a in body["get_agents"]["agents"] if a["agent_info"]["id"]["value"] == agent.id]
    return shown["deactivated"], shown.get("drain_info", {}).get("state")


def test_drained_and_reactivated() -> None:
    world, agent, framework = running()
    call(world, "DRAIN_AGENT", agent_id={"value": agent.id}, max_grace_period={"seconds": 1})
    assert framework.types == ["RESCIND"]
    (told,) = (m for m in agent.heard if isinstance(m, protocol.DrainAgent))
    assert told.max_grace_period is not None and told.max_grace_period.nanoseconds == 10**9
    assert drain_state(world, agent) == (True, "DRAINING")
    assert call(world, "REACTIVATE_AGENT", 400, agent_id={"value": agent.id}) == "Agent is still in the DRAINING state"
    agent.says(framework.id, "t1", "TASK_KILLED", reason="REASON_AGENT_DRAINING")
    assert drain_state(world, agent) == (True, "DRAINED")
    world.advance(10)
    assert framework.offers() == []
    call(world, "REACTIVATE_AGENT", agent_id={"value": agent.id})
    assert drain_state(world, agent) == (False, None)
    assert any(isinstance(m, protocol.ReactivateAgent) for m in agent.heard)
    assert len(framework.offers()) == 1


def test_an_empty_agent_is_drained_at_once() -> None:
    world = World()
    agent = world.agent()
    call(world, "DRAIN_AGENT", agent_id={"value": agent.id})
    assert drain_state(world, agent) == (True, "DRAINED")


def test_drained_and_gone() -> None:
    world, agent, framework = running()
    call(world, "DRAIN_AGENT", agent_id={"value": agent.id}, mark_gone=True)
    agent.says(framework.id, "t1", "TASK_KILLED")
    assert agent.id in world.master.cluster.gone and agent.ended == "Agent has been marked gone"
    assert framework.take("FAILURE")


def test_a_drain_outlasts_a_lost_agent() -> None:
    world = World(agent_ping_timeout_s=1.0, max_agent_ping_timeouts=1)
    agent = world.agent()
    framework = world.framework()
    offer = framework.offer()
    framework.launch(offer, task(offer, "t1"))
    agent.deaf = True
    world.advance(5)
    call(world, "DRAIN_AGENT", agent_id={"value": agent.id})
    agent.come_back()
    assert any(isinstance(m, protocol.DrainAgent) for m in agent.heard)
    framework.offers()
    agent.says(framework.id, "t1", "TASK_KILLED")
    assert drain_state(world, agent) == (True, "DRAINED")
    world.advance(10)
    assert framework.offers() == []


def test_deactivated() -> None:
    world, agent, framework = running()
    call(world, "DEACTIVATE_AGENT", agent_id={"value": agent.id})
    call(world, "DEACTIVATE_AGENT", agent_id={"value": agent.id})
    assert framework.types == ["RESCIND"] and drain_state(world, agent) == (True, None)
    assert framework.reconcile()[0][:2] == ("t1", "TASK_RUNNING")
    call(world, "REACTIVATE_AGENT", agent_id={"value": agent.id})
    assert framework.offers()


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("DRAIN_AGENT", 400, "Unknown agent"),
        ("DEACTIVATE_AGENT", 400, "Unknown agent"),
        ("REACTIVATE_AGENT", 400, "Agent is not deactivated"),
        ("MARK_AGENT_GONE", 404, "Agent 'no' not found"),
    ],
)
def test_an_agent_that_nobody_knows(kind: str, status: int, text: str) -> None:
    assert call(World(), kind, status, agent_id={"value": "no"}) == text
