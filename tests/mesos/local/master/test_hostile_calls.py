"""Calls that a decoder lets through and nobody would write: an answer each, the books stay in order."""

from __future__ import annotations

import copy
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    CommandInfo,
    Label,
    Labels,
    Launch,
    LaunchGroup,
    Operation,
    OperationID,
    OperationType,
    Reservation,
    Resource,
    ResourcesOf,
    TaskGroupInfo,
    Volumes,
    ranges,
    scalar,
)
from mesos.core.wire import BadMessage, decode, encode

from .harness import FakeFramework, World, task

JUNK: list[Any] = [
    None, True, False, 0, -1, 7, 2**63, 0.0, -1.0, 1e308, -1e308, 1e-9, [], {}, [{}], [5], {"x": 5},
    "", "x", "*", "a/b", "Infinity", "NaN", "TASK_RUNNING", "SCALAR", "RANGES", "SET", "AAAAAAAAAAAAAAAAAAAAAA==",
    {"value": "x"}, {"value": -5},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def spoiled(call: Any, dice: random.Random) -> Any:
    """One or a few values replaced, taken out, or put in twice."""
    call = copy.deepcopy(call)
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(places(call))
        holder = call
        for key in path[:-1]:
            holder = holder[key]
        what = dice.random()
        if what < 0.15:
            del holder[path[-1]]
        elif what < 0.3 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[path[-1]]))
        else:
            old = holder[path[-1]]
            alike = [junk for junk in JUNK if type(junk) is type(old)] or JUNK
            holder[path[-1]] = copy.deepcopy(dice.choice(alike if dice.random() < 0.8 else JUNK))
    return call


def calls(framework: FakeFramework) -> list[api.Call]:
    """One of each kind that names the framework's offer, task and agent."""
    (offer,) = framework.offers()
    mine = Reservation(type="DYNAMIC", role="web", principal="me", labels=Labels(labels=(Label(key="k"),)))
    items: tuple[Resource, ...] = (
        msgspec.structs.replace(scalar("cpus", 1), reservations=(mine,)),
        ranges("ports", (31001, 31002)),
    )
    group = LaunchGroup(
        executor=msgspec.structs.replace(_executor(offer), type="DEFAULT", command=None),
        task_group=TaskGroupInfo(
            tasks=(msgspec.structs.replace(task(offer, "g"), command=CommandInfo(), executor=None),)
        ),
    )
    checked = task(offer, "t2", check={"type": "HTTP", "http": {"port": 5}}, container={"type": "MESOS", "mesos": {}})
    name = OperationID(value="o")
    operations = [
        Operation(type=OperationType.RESERVE, id=name, reserve=ResourcesOf(resources=items, source=items)),
        Operation(type=OperationType.CREATE, id=name, create=Volumes(volumes=items)),
        Operation(type=OperationType.DESTROY, id=name, destroy=Volumes(volumes=items)),
        Operation(type=OperationType.UNRESERVE, id=name, unreserve=ResourcesOf(resources=items)),
        Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=(task(offer, "t1", *items), checked))),
        Operation(type=OperationType.LAUNCH_GROUP, launch_group=group),
    ]
    wanted = {"role_constraints": {"web": {"groups": [{"attribute_constraints": [
        {"selector": {"attribute_name": "rack"}, "predicate": {"text_matches": {"regex": "a"}}}]}]}}}  # fmt: skip
    least = {"web": {"min_allocatable_resources": {"quantities": [{"quantities": {"cpus": {"value": 1}}}]}}}
    info = msgspec.structs.replace(framework.info, offer_filters=least)
    return [
        api.accept([offer.id], operations, 5),
        api.decline([offer.id], 5),
        api.subscribe(info, ["web"], wanted),
        api.update_framework(info, ["web"], wanted),
        api.kill(task(offer, "t0").task_id, offer.agent_id),
        api.reconcile([(task(offer, "t0").task_id, offer.agent_id)]),
        api.revive(["web"]),
        api.accept_inverse([offer.id]),
        api.message(offer.agent_id, _executor(offer).executor_id, b"x"),
        api.shutdown(_executor(offer).executor_id, offer.agent_id),
        api.reconcile_operations([api.ReconcileOperation(operation_id=name, agent_id=offer.agent_id)]),
    ]


def _executor(offer: Any) -> Any:
    return task(offer, "t").executor


@given(st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_spoiled_calls(seed: int) -> None:
    survive(seed)


@pytest.mark.parametrize("seed", range(20))
def test_more_spoiled_calls(seed: int) -> None:
    survive(seed)


def survive(seed: int) -> int:
    dice = random.Random(seed)
    world = World()
    agent = world.agent(attributes="rack:a")
    framework = world.framework("web", principal="me")
    sent = 0
    for call in calls(framework):
        named = msgspec.structs.replace(call, framework_id=framework.info.id)
        plain = msgspec.json.decode(encode(named))
        for _ in range(4):
            try:
                spoilt = decode(msgspec.json.encode(spoiled(plain, dice)), api.Call)
            except BadMessage:
                continue
            sent += 1
            if spoilt.type == "SUBSCRIBE":
                answer = world.master.subscribe(spoilt, f"s{sent}", None, world.now)
                world.streams[f"s{sent}"] = FakeFramework(world, framework.info, f"s{sent}")
            else:
                answer = world.master.call(spoilt, framework.stream, None, world.now)
            assert answer.status in (200, 202, 400, 403), answer
            world.perform(answer.effects)
    world.advance(20)
    assert agent.id in world.master.cluster.agents
    return sent
