"""ACCEPT: what is wrong with offers, tasks and groups, in the words of a real master; every task is answered once."""

from __future__ import annotations

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    CommandInfo,
    DiskInfo,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    KillPolicy,
    Launch,
    LaunchGroup,
    Nothing,
    Offer,
    OfferID,
    Operation,
    OperationID,
    Persistence,
    Resource,
    TaskGroupInfo,
    TaskID,
    TaskInfo,
    ranges,
    scalar,
)
from mesos.local.core import protocol

from .harness import FakeFramework, World, task


def ready(*roles: str, **changes: object) -> tuple[World, FakeFramework, Offer]:
    world = World()
    world.agent()
    framework = world.framework(*(roles or ("web",)), **changes)  # type: ignore[arg-type]
    return world, framework, framework.offers()[0]


def executor(**changes: object) -> ExecutorInfo:
    info = ExecutorInfo(type="CUSTOM", executor_id=ExecutorID(value="ex"), command=CommandInfo(value="run"))
    return msgspec.structs.replace(info, **changes)


def revocable(name: str, value: float) -> Resource:
    return msgspec.structs.replace(scalar(name, value), revocable=Nothing())


ALL = "ports(allocated: web):[31000-31099]; cpus(allocated: web):4; mem(allocated: web):4096; disk(allocated: web):8192"
MORE = "required by task and its executor is more than available"
NEITHER = "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"resources": ()}, "Task uses no resources"),
        ({"executor": None}, NEITHER),
        ({"command": CommandInfo(value="x")}, NEITHER),
        ({"agent_id": api.AgentID(value="zz")}, "Task uses invalid agent zz while agent m1-S0 is expected"),
        ({"task_id": TaskID(value="bad/id")}, "'bad/id' contains invalid characters"),
        ({"task_id": TaskID(value="")}, "ID must not be empty"),
        ({"executor": executor(type="UNKNOWN")}, "'ExecutorInfo.type' must be 'CUSTOM'"),
        ({"executor": executor(command=None)}, "'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
        (
            {"executor": executor(framework_id=FrameworkID(value="other"))},
            "ExecutorInfo has an invalid FrameworkID (Actual: other vs Expected: m1-0000)",
        ),
        ({"executor": executor(type="DEFAULT")}, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
        ({"executor": executor(executor_id=ExecutorID(value="a/b"))}, "'a/b' contains invalid characters"),
        (
            {"executor": executor(shutdown_grace_period=DurationInfo(nanoseconds=-1))},
            "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
        ),
        (
            {"executor": executor(resources=(scalar("cpus", -1),))},
            "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0",
        ),
        ({"resources": (scalar("cpus", -1),)}, "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"),
        (
            {"resources": (ranges("ports", (5, 3)),)},
            "Resource 'ports:[5-3]' is invalid: Invalid ranges resource: begin > end",
        ),
        (
            {"resources": (scalar("gpus", 0.5),)},
            "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
        ),
        (
            {"resources": (scalar("cpus", 100), scalar("mem", 32))},
            f"Total resources cpus(allocated: web):100; mem(allocated: web):32 {MORE} {ALL}",
        ),
        (
            {"resources": (ranges("ports", (1, 2)),)},
            f"Total resources ports(allocated: web):[1-2] {MORE} {ALL}",
        ),
        (
            {"resources": (scalar("cpus", 1, role="db"),)},
            f"Total resources cpus(allocated: db):1 required by task and its executor is more than available {ALL}",
        ),
        (
            {"resources": (msgspec.structs.replace(scalar("cpus", 1), role="web"),)},
            (f"Total resources cpus(allocated: web)(reservations: [(STATIC,web)]):1 {MORE} {ALL}"),
        ),
        (
            {"kill_policy": KillPolicy(grace_period=DurationInfo(nanoseconds=-1))},
            "Task's 'kill_policy.grace_period' must be non-negative",
        ),
        ({"max_completion_time": DurationInfo(nanoseconds=-1)}, "Task's `max_completion_time` must be non-negative"),
        (
            {"health_check": {"type": "HTTP"}},
            "Task uses invalid health check: Expecting 'http' to be set for HTTP health check",
        ),
        ({"check": {"type": "COMMAND"}}, "Task uses invalid check: Expecting 'command' to be set for COMMAND check"),
        (
            {"resources": (revocable("cpus", 0.1), scalar("cpus", 0.1))},
            (
                "Task mixes revocable and non-revocable resources: "
                "Cannot use both revocable and non-revocable 'cpus' at the same time"
            ),
        ),
        (
            {"resources": (msgspec.structs.replace(scalar("disk", 1), disk=DiskInfo()),)},
            "Task uses invalid resources: Invalid DiskInfo: DiskInfo is set but empty",
        ),
        (
            {
                "resources": (
                    msgspec.structs.replace(scalar("disk", 1), disk=DiskInfo(persistence=Persistence(id="x"))),
                )
            },
            (
                "Task uses invalid resources: Invalid DiskInfo: "
                "Persistent volumes cannot be created from unreserved resources"
            ),
        ),
    ],
)
def test_a_task_that_is_wrong(changes: dict[str, object], text: str) -> None:
    world, framework, offer = ready()
    wrong = msgspec.structs.replace(task(offer, "t"), **changes)
    framework.launch(offer, wrong)
    (status,) = framework.updates()
    assert (status.state, status.source, status.reason) == ("TASK_ERROR", "SOURCE_MASTER", "REASON_TASK_INVALID")
    assert sorted(status.message.split("; ")) == sorted(text.split("; ")) or _same_total(status.message, text)
    assert (status.agent_id, status.uuid) == (wrong.agent_id, b"")
    world.advance(1)
    assert framework.offers(), "what was not used is offered again"


def _same_total(said: str, text: str) -> bool:
    """Mesos lists resources in another order."""
    head, available = said.split(" more than available ")
    wanted_head, wanted = text.split(" more than available ")
    return head == wanted_head and sorted(available.split("; ")) == sorted(wanted.split("; "))


@pytest.mark.parametrize(
    "changes",
    [
        {"executor": executor(framework_id=None)},
        {"executor": executor(type="")},
        {"resources": (scalar("cpus", 0),)},
        {"resources": (scalar("cpus", 0.1), scalar("cpus", 0.1), scalar("mem", 32))},
        {"resources": (scalar("cpus", 0.001),)},
        {"executor": None, "command": CommandInfo(value="x")},
        {"health_check": {"type": "COMMAND", "command": {"value": "true"}}},
    ],
)
def test_a_task_that_looks_odd_and_runs(changes: dict[str, object]) -> None:
    _, framework, offer = ready()
    framework.launch(offer, msgspec.structs.replace(task(offer, "t"), **changes))
    assert [status.state for status in framework.updates()] == ["TASK_RUNNING"]


def test_what_an_agent_gets_is_complete() -> None:
    world, framework, offer = ready()
    framework.launch(offer, task(offer, "t", own=[scalar("cpus", 0.1)]))
    (run,) = (m for m in next(iter(world.links.values())).heard if isinstance(m, protocol.RunTask))
    assert run.task.executor is not None and run.task.executor.framework_id == FrameworkID(value=framework.id)
    for item in (*run.task.resources, *run.task.executor.resources):
        assert item.allocation_info is not None and item.allocation_info.role == "web"


def test_duplicate_ids_and_executors_that_differ() -> None:
    _, framework, offer = ready()
    other = msgspec.structs.replace(task(offer, "t2"), executor=executor(source="x"))
    framework.launch(offer, task(offer, "t1"), task(offer, "t1"), other)
    said = {(name, state): text for name, state, _, text in framework.said()}
    assert said["t1", "TASK_ERROR"] == "Task has duplicate ID: t1"
    assert said["t2", "TASK_ERROR"] == DIFFERS
    assert ("t1", "TASK_RUNNING") in said


#: As a real master wrote it, but for the ids.
DIFFERS = """\
ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.
------------------------------------------------------------
Existing ExecutorInfo:
executor_id {
  value: "ex"
}
command {
  value: "run"
}
framework_id {
  value: "m1-0000"
}
type: CUSTOM

------------------------------------------------------------
ExecutorInfo:
executor_id {
  value: "ex"
}
command {
  value: "run"
}
framework_id {
  value: "m1-0000"
}
source: "x"
type: CUSTOM

------------------------------------------------------------
"""


def test_an_unreachable_tasks_id_is_not_free() -> None:
    world = World(agent_ping_timeout_s=1.0)
    first, _ = world.agent("a0"), world.agent("a1")
    framework = world.framework()
    by_host = {offer.hostname: offer for offer in framework.offers()}
    framework.launch(by_host["a0"], task(by_host["a0"], "t1"))
    first.deaf = True
    world.advance(10)
    framework.updates()
    framework.launch(by_host["a1"], task(by_host["a1"], "t1"))
    assert [text for _, _, _, text in framework.said()] == ["Task reuses the ID of an unreachable task: t1"]


# --- offers -------------------------------------------------------------------------------------------------------


def two_agents() -> tuple[World, FakeFramework, list[Offer]]:
    world = World()
    world.agent("a0")
    world.agent("a1")
    framework = world.framework("web")
    return world, framework, framework.offers()


def test_offers_that_are_none() -> None:
    world, framework, (first, second) = two_agents()
    unknown = msgspec.structs.replace(first, id=OfferID(value="x-O1"))
    framework.launch(unknown, task(first, "t1"))
    reason = "REASON_INVALID_OFFERS"
    text = "Task launched with invalid offers: Offer x-O1 is no longer valid"
    assert framework.said() == [("t1", "TASK_DROPPED", reason, text)]
    framework.launch([first, first], task(first, "t2"))
    text = f"Task launched with invalid offers: Duplicate offer {first.id.value} in offer list"
    assert framework.said() == [("t2", "TASK_DROPPED", reason, text)]
    world.advance(1)
    (first,) = framework.offers()
    framework.launch([first, second], task(first, "t3"))
    text = (
        f"Task launched with invalid offers: Aggregated offers must belong to one single agent. "
        f"Offer {second.id.value} uses agent {second.agent_id.value} and agent {first.agent_id.value}"
    )
    assert framework.said() == [("t3", "TASK_DROPPED", reason, text)]
    world.advance(1)
    assert len(framework.offers()) == 2


def test_offers_of_two_roles() -> None:
    world = World()
    world.agent(resources="cpus:1;mem:100;cpus(a):1;mem(a):100;cpus(b):1;mem(b):100")
    framework = world.framework("a", "b")
    first, second = framework.offers()
    framework.launch([first, second], task(first, "t1"))
    role = {o.id: o.allocation_info.role for o in (first, second) if o.allocation_info is not None}
    text = (
        f"Task launched with invalid offers: Aggregated offers must be allocated to the same role. Offer "
        f"{second.id.value} uses role '{role[second.id]} but another is using role '{role[first.id]}"
    )
    assert framework.said() == [("t1", "TASK_DROPPED", "REASON_INVALID_OFFERS", text)]


def test_without_partition_awareness_it_is_lost() -> None:
    _world, framework, offer = ready(capabilities=("MULTI_ROLE",))
    framework.call(api.decline([offer.id]))
    framework.launch(offer, task(offer, "t1"))
    assert [state for _, state, _, _ in framework.said()] == ["TASK_LOST"]


def test_offers_of_another_are_left_alone() -> None:
    world, framework, offer = ready()
    other = world.framework("web")
    other.launch(offer, task(offer, "t1"))
    (said,) = other.said()
    assert said[3].endswith(
        f"Offer {offer.id.value} has invalid framework {framework.id} while framework {other.id} is expected"
    )
    framework.launch(offer, task(offer, "t2"))
    assert [state for _, state, _, _ in framework.said()] == ["TASK_RUNNING"]


def test_several_offers_of_one_agent() -> None:
    world, framework, offer = ready()
    framework.launch(offer, task(offer, "t1", scalar("cpus", 1), scalar("mem", 100)))
    world.advance(1)
    (rest,) = framework.offers()
    framework.kill("t1")
    world.advance(1)
    (freed,) = framework.offers()
    framework.launch([rest, freed], task(rest, "t2", scalar("cpus", 4), scalar("mem", 4096)))
    assert [status.state for status in framework.updates()] == ["TASK_RUNNING", "TASK_KILLED", "TASK_RUNNING"]


def test_nothing_is_said_of_an_empty_accept() -> None:
    _, framework, offer = ready()
    framework.call(api.accept([], []))
    framework.call(api.accept([offer.id], [Operation(type="LAUNCH", launch=Launch())]))
    assert framework.types == ["SUBSCRIBED"]


def test_what_is_left_over_is_refused_for_five_seconds() -> None:
    world, framework, offer = ready()
    operation = Operation(type="LAUNCH", launch=Launch(task_infos=(task(offer, "t1"),)))
    framework.call(api.accept([offer.id], [operation]))
    world.advance(4.9)
    assert framework.offers() == []
    world.advance(1.2)
    assert len(framework.offers()) == 1


# --- groups -------------------------------------------------------------------------------------------------------

OWN = (scalar("cpus", 0.1), scalar("mem", 32), scalar("disk", 10))


def group(offer: Offer, *tasks: TaskInfo, **changes: object) -> Operation:
    info = executor(type="DEFAULT", command=None, resources=OWN)
    command = CommandInfo(value="true")
    bare = tuple(msgspec.structs.replace(t, executor=None, command=command) for t in tasks)
    launch = LaunchGroup(executor=msgspec.structs.replace(info, **changes), task_group=TaskGroupInfo(tasks=bare))
    return Operation(type="LAUNCH_GROUP", launch_group=launch)


def test_a_group_is_launched_whole() -> None:
    world, framework, offer = ready()
    framework.operate(offer, group(offer, task(offer, "g1"), task(offer, "g2")))
    (run,) = (m for m in next(iter(world.links.values())).heard if isinstance(m, protocol.RunTaskGroup))
    assert [t.task_id.value for t in run.group.tasks] == ["g1", "g2"]
    assert set(world.master.cluster.frameworks[framework.id].tasks) == {"g1", "g2"}


@pytest.mark.parametrize(
    ("tasks", "changes", "text"),
    [
        (("g1", "g2"), {"resources": OWN[:2]}, "Executor 'ex' uses no disk"),
        (("g1", "g1"), {"resources": OWN[:2]}, "Task 'g1' is invalid: Task has duplicate ID: g1"),
        (("g1", "a/b"), {}, "Task 'a/b' is invalid: 'a/b' contains invalid characters"),
        (("g1",), {"type": ""}, "'ExecutorInfo.type' must be set"),
        (("g1",), {"resources": (scalar("cpus", 99), *OWN[1:])}, "required by task group and its executor are more"),
    ],
)
def test_a_group_that_is_wrong(tasks: tuple[str, ...], changes: dict[str, object], text: str) -> None:
    _, framework, offer = ready()
    framework.operate(offer, group(offer, *(task(offer, name) for name in tasks), **changes))
    said = framework.said()
    assert [(name, state, reason) for name, state, reason, _ in said] == [
        (name, "TASK_ERROR", "REASON_TASK_GROUP_INVALID") for name in tasks
    ]
    assert all(text in message for _, _, _, message in said)


def test_ids_of_operations_are_not_for_launches() -> None:
    _, framework, offer = ready()
    launch = Operation(type="LAUNCH", id=OperationID(value="x"), launch=Launch(task_infos=(task(offer, "t1"),)))
    framework.operate(offer, launch)
    text = "The `id` field cannot be set on LAUNCH operations"
    assert framework.said() == [("t1", "TASK_ERROR", "REASON_TASK_INVALID", text)]
