"""What operators read and set: the v1 API, the old endpoints, the stream of events; shapes as at a real master."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import Label, Labels, scalar
from mesos.local.core import protocol
from mesos.local.core.operator_calls import CALLS

from .harness import FakeAgent, FakeFramework, World, task


def busy() -> tuple[World, FakeAgent, FakeFramework]:
    world = World(port=5055, cluster="test")
    agent = world.agent(attributes="rack:r0")
    framework = world.framework("web", principal="me")
    offer = framework.offer()
    done = task(offer, "t0", scalar("cpus", 0.5), scalar("mem", 32), own=[scalar("cpus", 0.1)])
    labels = Labels(labels=(Label(key="k", value="v"),))
    framework.launch(offer, done, task(offer, "t1", own=[scalar("cpus", 0.1)], labels=labels))
    agent.says(framework.id, "t0", "TASK_FINISHED")
    world.advance(1)
    framework.offers()
    return world, agent, framework


def as_json(body: object) -> Any:
    """As it comes out at the other end."""
    return msgspec.json.decode(msgspec.json.encode(body))


def ask(world: World, kind: str, expect: int = 200, **payload: object) -> Any:
    call: dict[str, object] = {"type": kind}
    if payload or CALLS[kind][0]:
        call[kind.lower()] = payload
    answer = world.master.operator(call, None, world.now)
    world.perform(answer.effects)
    assert answer.status == expect, answer
    if answer.body is None:
        return answer.text
    assert isinstance(answer.body, dict) and answer.body["type"] == kind
    return as_json(answer.body)[kind.lower()]


def http(world: World, method: str, path: str, body: bytes = b"", expect: int = 200, **query: str) -> Any:
    answer = world.master.endpoint(method, path, query, body, world.now)
    world.perform(answer.effects)
    assert answer.status == expect, answer
    return answer.text if answer.body is None else as_json(answer.body)


# --- the v1 API ---------------------------------------------------------------------------------------------------


def test_every_reading_call_answers() -> None:
    world, _, _ = busy()
    for kind in CALLS:
        if kind.startswith("GET_"):
            assert isinstance(ask(world, kind), dict)


def test_agents() -> None:
    world, agent, _ = busy()
    (shown,) = ask(world, "GET_AGENTS")["agents"]
    assert shown["agent_info"]["id"] == {"value": agent.id} and shown["agent_info"]["hostname"] == "a0"
    assert (shown["active"], shown["deactivated"], shown["pid"]) == (True, False, "slave(1)@127.0.0.1:5051")
    cpus = {key: [r for r in shown[key] if r["name"] == "cpus"] for key in ("total_resources", "allocated_resources")}
    assert cpus["total_resources"] == [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "*"}]
    (allocated,) = cpus["allocated_resources"]
    assert (allocated["scalar"], allocated["allocation_info"], allocated["role"]) == (
        {"value": 1.1},
        {"role": "web"},
        "*",
    )
    assert shown["offered_resources"]


def test_reserved_resources_have_both_forms() -> None:
    world = World()
    world.agent(resources="cpus:1;cpus(web):2")
    (shown,) = ask(world, "GET_AGENTS")["agents"]
    (reserved,) = [r for r in shown["total_resources"] if r["role"] == "web"]
    assert reserved["reservations"] == [{"type": "STATIC", "role": "web"}]


def test_tasks_and_executors() -> None:
    world, agent, framework = busy()
    shown = ask(world, "GET_TASKS")
    assert [(t["task_id"]["value"], t["state"]) for t in shown["tasks"]] == [("t1", "TASK_RUNNING")]
    assert [(t["task_id"]["value"], t["state"]) for t in shown["completed_tasks"]] == [("t0", "TASK_FINISHED")]
    assert shown["tasks"][0]["labels"] == {"labels": [{"key": "k", "value": "v"}]}
    (executor,) = ask(world, "GET_EXECUTORS")["executors"]
    assert executor["agent_id"] == {"value": agent.id}
    assert executor["executor_info"]["framework_id"] == {"value": framework.id}


def test_frameworks() -> None:
    world, _, framework = busy()
    (shown,) = ask(world, "GET_FRAMEWORKS")["frameworks"]
    assert shown["framework_info"]["id"] == {"value": framework.id}
    assert (shown["active"], shown["connected"], shown["recovered"]) == (True, True, False)
    assert shown["offers"] and shown["offered_resources"] and shown["allocated_resources"]
    framework.call(api.teardown())
    body = ask(world, "GET_FRAMEWORKS")
    assert not body["frameworks"] and len(body["completed_frameworks"]) == 1


def test_teardown_by_an_operator() -> None:
    world, _, framework = busy()
    assert ask(world, "TEARDOWN", 400, framework_id={"value": "no"}) == "No framework found with specified ID"
    ask(world, "TEARDOWN", framework_id={"value": framework.id})
    assert framework.closed and framework.id in world.master.cluster.completed


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({}, "Failed to validate master::Call: Expecting 'type' to be present"),
        ({"type": "FOO"}, "Failed to validate master::Call: Expecting 'type' to be present"),
        ({"type": 5}, "Failed to validate master::Call: Expecting 'type' to be present"),
        ({"type": "DRAIN_AGENT"}, "Failed to validate master::Call: Expecting 'drain_agent' to be present"),
        ({"type": "GET_METRICS"}, "Failed to validate master::Call: Expecting 'get_metrics' to be present"),
        (
            {"type": "DRAIN_AGENT", "drain_agent": {}},
            "Failed to convert JSON into Call protobuf: Missing required fields: drain_agent.agent_id",
        ),
    ],
)
def test_calls_that_are_none(call: object, text: str) -> None:
    world = World()
    answer = world.master.operator(call, None, world.now)
    assert (answer.status, answer.text) == (400, text)


@pytest.mark.parametrize("call", [None, 5, [], "x"])
def test_things_that_are_no_calls(call: object) -> None:
    world = World()
    assert world.master.operator(call, None, world.now).status == 400


SHAPES: list[object] = [
    [], 5, "x", {"agent_id": 5}, {"agent_id": {"value": 5}}, {"quota_configs": [5]}, {"weight_infos": 5},
    {"schedule": []}, {"machines": "x"}, {"framework_id": []},
    {"quota_configs": [{"role": "a", "limits": {"cpus": {"value": 1e308}}}]},
    {"agent_id": {"value": "m1-S0"}, "max_grace_period": {"seconds": 10**30}},
    {"agent_id": {"value": "m1-S0"}, "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1e308}}]},
]  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind, (needs, _) in CALLS.items() if needs])
@pytest.mark.parametrize("payload", SHAPES)
def test_payloads_of_any_shape(kind: str, payload: object) -> None:
    """An answer, never an exception; nothing changes but what empty lists leave as it is."""
    world = World()
    agent = world.agent()
    answer = world.master.operator({"type": kind, kind.lower(): payload}, None, world.now)
    assert answer.status in (200, 400, 404), answer
    assert agent.id in world.master.cluster.agents or kind == "MARK_AGENT_GONE"
    ask(world, "GET_STATE")


# --- resources ----------------------------------------------------------------------------------------------------


def test_an_operator_reserves() -> None:
    world, agent, framework = busy()
    wanted = [
        {
            "name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5},
            "reservations": [{"role": "db", "type": "DYNAMIC", "principal": "op"}],
        }
    ]  # fmt: skip
    ask(world, "RESERVE_RESOURCES", 202, agent_id={"value": agent.id}, resources=wanted)
    assert framework.types[-1] == "RESCIND"
    slot = world.master.cluster.allocator.agents[agent.id]
    assert "cpus(reservations: [(DYNAMIC,db,op)]):0.5" in str(slot.total)
    much = [{**wanted[0], "scalar": {"value": 100}}]
    text = ask(world, "RESERVE_RESOURCES", 409, agent_id={"value": agent.id}, resources=much)
    assert text.endswith("does not contain cpus:100")
    text = ask(world, "RESERVE_RESOURCES", 400, agent_id={"value": "no"}, resources=wanted)
    assert text == "No agent found with specified ID"
    ask(world, "UNRESERVE_RESOURCES", 202, agent_id={"value": agent.id}, resources=wanted)
    text = ask(world, "UNRESERVE_RESOURCES", 409, agent_id={"value": agent.id}, resources=wanted)
    assert text.endswith("does not contain cpus(reservations: [(DYNAMIC,db,op)]):0.5")
    plain = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}]
    assert ask(world, "RESERVE_RESOURCES", 400, agent_id={"value": agent.id}, resources=plain) == (
        f"Invalid RESERVE operation on agent {agent.id} at slave(1)@127.0.0.1:5051 (a0): "
        "Resource cpus:1 is not dynamically reserved"
    )
    form = f"slaveId={agent.id}&resources={quote(json.dumps(wanted))}".encode()
    http(world, "POST", "/master/reserve", form, 202)
    assert "(DYNAMIC,db,op)" in str(slot.total)
    http(world, "POST", "/unreserve", form, 202)
    assert slot.total.plain


def test_an_operator_makes_a_volume() -> None:
    world = World()
    agent = world.agent()
    reservation = {"role": "db", "type": "DYNAMIC"}
    disk = {"name": "disk", "type": "SCALAR", "scalar": {"value": 10}, "reservations": [reservation]}
    volume = {**disk, "disk": {"persistence": {"id": "v"}, "volume": {"container_path": "d", "mode": "RW"}}}
    name = {"value": agent.id}
    ask(world, "RESERVE_RESOURCES", 202, agent_id=name, resources=[disk])
    ask(world, "CREATE_VOLUMES", 202, agent_id=name, volumes=[volume])
    assert "[v:d]" in str(world.master.cluster.allocator.agents[agent.id].total)
    ask(world, "DESTROY_VOLUMES", 202, agent_id=name, volumes=[volume])
    ask(world, "UNRESERVE_RESOURCES", 202, agent_id=name, resources=[disk])
    assert world.master.cluster.allocator.agents[agent.id].total.plain
    assert not world.master.cluster.agents[agent.id].operations


# --- quotas and weights -------------------------------------------------------------------------------------------


def config(
    role: str = "db", limits: dict[str, float] | None = None, guarantees: dict[str, float] | None = None
) -> dict[str, object]:
    return {
        "role": role,
        "limits": {name: {"value": value} for name, value in (limits or {}).items()},
        "guarantees": {name: {"value": value} for name, value in (guarantees or {}).items()},
    }


def test_quota() -> None:
    world = World()
    world.agent()
    assert ask(world, "GET_QUOTA") == {"status": {}} and http(world, "GET", "/quota") == {}
    ask(
        world,
        "UPDATE_QUOTA",
        force=True,
        quota_configs=[config(limits={"cpus": 2, "mem": 512}, guarantees={"cpus": 1})],
    )
    expected = {
        "infos": [{"role": "db", "guarantee": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}}]}],
        "configs": [
            {
                "role": "db",
                "guarantees": {"cpus": {"value": 1.0}},
                "limits": {"cpus": {"value": 2.0}, "mem": {"value": 512.0}},
            }
        ],
    }
    assert ask(world, "GET_QUOTA") == {"status": expected} and http(world, "GET", "/quota") == expected
    ask(world, "UPDATE_QUOTA", quota_configs=[{"role": "db"}])
    assert http(world, "GET", "/quota") == {}


@pytest.mark.parametrize(
    ("configs", "text"),
    [
        (
            [config(limits={"cpus": 2}, guarantees={"cpus": 3})],
            (
                "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 3 } is not contained within the "
                "'QuotaConfig.limits' { cpus: 2 }"
            ),
        ),
        (
            [config("a b")],
            (
                "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role component 'a b' is invalid because it contains "
                "backspace or whitespace"
            ),
        ),
        ([config("a/b")], "Updating quota on nested role 'a/b' is not supported yet"),
        (
            [config(limits={"cpus": -2})],
            "Invalid QuotaConfig: Invalid limit configuration {'cpus': -2}: Negative values not supported",
        ),
        (
            [config(limits={"cpus": 1000}, guarantees={"cpus": 1000})],
            (
                "Invalid QuotaConfig: total quota guarantees 'cpus:1000' exceed cluster capacity "
                "'cpus:4; disk:8192; mem:4096' (use 'force' flag to bypass this check)"
            ),
        ),
    ],
)
def test_quotas_that_are_none(configs: list[object], text: str) -> None:
    world = World()
    world.agent()
    assert ask(world, "UPDATE_QUOTA", 400, quota_configs=configs) == text
    assert http(world, "GET", "/quota") == {}


def test_quota_the_old_way() -> None:
    world = World()
    world.agent()

    def body(role: str, value: float, **more: object) -> bytes:
        guarantee = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": value}}]
        return json.dumps({"role": role, "guarantee": guarantee, **more}).encode()

    http(world, "POST", "/quota", body("ops", 1))
    assert http(world, "POST", "/quota", body("ops", 1), 400) == (
        "Failed to validate set quota request: Cannot set quota for role 'ops' which already has quota"
    )
    assert http(world, "POST", "/quota", body("more", 1000), 409) == (
        "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees "
        "'cpus:1001' exceed cluster capacity 'cpus:4; disk:8192; mem:4096'"
    )
    http(world, "POST", "/quota", body("more", 1000, force=True))
    assert {info["role"] for info in http(world, "GET", "/quota")["infos"]} == {"ops", "more"}
    http(world, "DELETE", "/quota/ops")
    assert http(world, "DELETE", "/master/quota/ops", expect=400) == (
        "Failed to remove quota for path '/master/quota/ops': Role 'ops' has no quota set"
    )


def test_weights() -> None:
    world = World()
    ask(world, "UPDATE_WEIGHTS", weight_infos=[{"role": "web", "weight": 2.5}])
    assert http(world, "GET", "/weights") == [{"role": "web", "weight": 2.5}]
    http(world, "PUT", "/weights", b'[{"role": "web", "weight": 1.5}]')
    assert ask(world, "GET_WEIGHTS") == {"weight_infos": [{"role": "web", "weight": 1.5}]}
    assert ask(world, "UPDATE_WEIGHTS", 400, weight_infos=[{"role": "web", "weight": 0}]) == (
        "Failed to validate update weights request JSON for role 'web': Invalid weight '0': Weights must be positive"
    )
    assert ask(world, "UPDATE_WEIGHTS", 400, weight_infos=[{"role": "w b", "weight": 1}]).startswith(
        "Failed to validate update weights request JSON: Invalid role 'w b'"
    )
    assert http(world, "PUT", "/weights", b"x", 400).startswith("Failed to parse update weights request JSON 'x'")


def test_roles() -> None:
    world, _, framework = busy()
    ask(world, "UPDATE_QUOTA", force=True, quota_configs=[config("web", limits={"cpus": 3})])
    (role,) = http(world, "GET", "/roles")["roles"]
    assert role["name"] == "web" and role["frameworks"] == [framework.id] and role["weight"] == 1.0
    assert role["quota"]["limit"] == {"cpus": 3.0} and role["quota"]["consumed"]["cpus"] == 1.1
    assert role["allocated"] == {"cpus": 1.1, "mem": 64.0}
    (role,) = ask(world, "GET_ROLES")["roles"]
    assert role["frameworks"] == [{"value": framework.id}]


# --- the old endpoints --------------------------------------------------------------------------------------------


def test_state() -> None:
    world, agent, framework = busy()
    state = http(world, "GET", "/master/state")
    assert (state["version"], state["id"], state["cluster"]) == ("1.11.0", "m1", "test")
    assert state["leader_info"]["port"] == 5055 and state["activated_slaves"] == 1.0
    assert state["flags"]["allocation_interval"] == "1secs" and state["flags"]["agent_reregister_timeout"] == "10mins"
    (slave,) = state["slaves"]
    assert slave["id"] == agent.id and slave["attributes"] == {"rack": "r0"}
    assert slave["resources"] == {"cpus": 4.0, "mem": 4096.0, "disk": 8192.0, "gpus": 0.0, "ports": "[31000-31099]"}
    assert slave["used_resources"]["cpus"] == 1.1
    (shown,) = state["frameworks"]
    assert (shown["id"], shown["roles"], shown["principal"]) == (framework.id, ["web"], "me")
    assert [(t["id"], t["slave_id"], t["role"]) for t in shown["tasks"]] == [("t1", agent.id, "web")]
    assert [t["id"] for t in shown["completed_tasks"]] == ["t0"]
    assert shown["executors"][0]["executor_id"] == "ex" and shown["offers"]


def test_summary() -> None:
    world, agent, framework = busy()
    summary = http(world, "GET", "/state-summary")
    (slave,), (shown,) = summary["slaves"], summary["frameworks"]
    assert (slave["TASK_RUNNING"], slave["TASK_FINISHED"], slave["framework_ids"]) == (1, 1, [framework.id])
    assert (shown["TASK_RUNNING"], shown["slave_ids"]) == (1, [agent.id])


def test_slaves() -> None:
    world = World()
    first = world.agent("a0", resources="cpus:1;cpus(web):2;ports:[1-5]")
    world.agent("a1")
    found = http(world, "GET", "/slaves", slave_id=first.id)["slaves"]
    assert [slave["hostname"] for slave in found] == ["a0"]
    assert found[0]["reserved_resources"]["web"]["cpus"] == 2.0
    assert found[0]["unreserved_resources"]["ports"] == "[1-5]"
    assert found[0]["reserved_resources_full"]["web"][0]["role"] == "web"
    assert len(http(world, "GET", "/slaves")["slaves"]) == 2


def test_tasks() -> None:
    world, _, framework = busy()

    def names(**query: str) -> list[str]:
        return [t["id"] for t in http(world, "GET", "/tasks", **query)["tasks"]]

    assert sorted(names()) == ["t0", "t1"]
    assert len(names(limit="1", order="asc")) == 1 and names(offset="5") == []
    assert names(task_id="t1", framework_id=framework.id) == ["t1"] and names(framework_id="x") == []
    http(world, "GET", "/tasks", expect=400, limit="x")


def test_small_ones() -> None:
    world, _, _ = busy()
    assert http(world, "GET", "/version")["version"] == "1.11.0"
    assert http(world, "GET", "/health") == ""
    answer = world.master.endpoint("GET", "/redirect", {}, b"", world.now)
    assert (answer.status, answer.headers["Location"]) == (307, "//127.0.0.1:5055")
    metrics = http(world, "GET", "/metrics/snapshot")
    assert metrics["master/slaves_active"] == 1.0 and metrics["master/tasks_running"] == 1.0
    assert metrics["master/tasks_finished"] == 1.0 and metrics["master/cpus_used"] == 1.1
    assert http(world, "GET", "/nope", expect=404) == "404 Not Found."
    assert http(world, "GET", "/teardown", expect=405) == (
        "405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    )


def test_teardown_the_old_way() -> None:
    world, _, framework = busy()
    assert http(world, "POST", "/teardown", b"x=1", 400) == (
        "Missing 'frameworkId' query parameter in the request body"
    )
    assert http(world, "POST", "/teardown", b"frameworkId=no", 400) == "No framework found with specified ID"
    http(world, "POST", "/teardown", f"frameworkId={framework.id}".encode())
    assert framework.closed


POSTED = (
    "/maintenance/schedule", "/machine/down", "/machine/up", "/quota", "/weights", "/teardown", "/reserve",
    "/create-volumes",
)  # fmt: skip


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("body", [b"", b"\xff", b"5", b"[5]", b'{"windows": 5}', b"slaveId=a&resources=x", b"{"])
def test_bodies_of_any_shape(path: str, body: bytes) -> None:
    world = World()
    method = "PUT" if path == "/weights" else "POST"
    assert world.master.endpoint(method, path, {}, body, world.now).status in (400, 404, 409)


# --- the stream of events -----------------------------------------------------------------------------------------


def test_events() -> None:
    world, agent, framework = busy()
    world.perform(world.master.subscribe_operator("op", None, world.now).effects)
    events: list[Any] = world.operator_events["op"]
    assert [event["type"] for event in events] == ["SUBSCRIBED", "HEARTBEAT"]
    assert len(events[0]["subscribed"]["get_state"]["get_tasks"]["tasks"]) == 1
    events.clear()
    framework.kill("t1")
    other = world.framework("db")
    late = world.agent("a1")
    late.deaf = True
    assert late.info.id is not None
    world.from_agent(late, protocol.UnregisterAgent(agent_id=late.info.id))
    other.call(api.teardown())
    kinds = [event["type"] for event in events]
    assert kinds == ["TASK_UPDATED", "FRAMEWORK_ADDED", "AGENT_ADDED", "AGENT_REMOVED", "FRAMEWORK_REMOVED"]
    updated = events[0]["task_updated"]
    assert (updated["state"], updated["framework_id"]) == ("TASK_KILLED", {"value": framework.id})
    assert events[2]["agent_added"]["agent"]["agent_info"]["hostname"] == "a1"
    msgspec.json.encode(events)
    events.clear()
    world.advance(30)
    assert [event["type"] for event in events].count("HEARTBEAT") == 2
    events.clear()
    world.perform(world.master.stream_closed("op", world.now))
    world.advance(60)
    assert events == [] and agent.id in world.master.cluster.agents


def test_too_many_listeners() -> None:
    world = World(max_operator_event_stream_subscribers=2)
    for name in ("a", "b", "c"):
        world.perform(world.master.subscribe_operator(name, None, world.now).effects)
    assert world.closed == ["a"] and set(world.master.cluster.operators) == {"b", "c"}
