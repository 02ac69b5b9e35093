"""RESERVE, CREATE and their opposites, with feedback; texts as a real master says them."""

from __future__ import annotations

import msgspec
import pytest

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    UUID,
    AgentID,
    DiskInfo,
    Launch,
    Nothing,
    Offer,
    Operation,
    OperationID,
    OperationStatus,
    Persistence,
    Reservation,
    Resource,
    ResourcesOf,
    Volume,
    Volumes,
    scalar,
)
from mesos.local.core import protocol
from mesos.local.core.resources import Resources

from .harness import MODERN, FakeFramework, World, task

MINE = Reservation(type="DYNAMIC", role="web", principal="me")


def reserved(item: Resource, *stack: Reservation) -> Resource:
    return msgspec.structs.replace(item, reservations=stack or (MINE,))


def volume(size: float = 100, name: str = "v1") -> Resource:
    disk = DiskInfo(persistence=Persistence(id=name, principal="me"), volume=Volume(container_path="d", mode="RW"))
    return msgspec.structs.replace(reserved(scalar("disk", size)), disk=disk)


def operation(kind: str, *items: Resource, name: str = "op") -> Operation:
    payload = ResourcesOf(resources=items) if kind in ("RESERVE", "UNRESERVE") else Volumes(volumes=items)
    return Operation(**{"type": kind, "id": OperationID(value=name) if name else None, kind.lower(): payload})  # type: ignore[arg-type]


def ready() -> tuple[World, FakeFramework, Offer]:
    world = World()
    world.agent()
    framework = world.framework("web", principal="me")
    return world, framework, framework.offer()


def feedback(framework: FakeFramework) -> list[OperationStatus]:
    found = framework.take("UPDATE_OPERATION_STATUS")
    return [event.update_operation_status.status for event in found if event.update_operation_status is not None]


def again(world: World, framework: FakeFramework) -> Offer:
    world.advance(1)
    return framework.offer()


PLACE = "; on agent m1-S0 at slave(1)@127.0.0.1:5051 (a0)"


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (
            operation("RESERVE", reserved(scalar("cpus", 1), Reservation(type="DYNAMIC", role="web"))),
            (
                "A reserve operation was attempted by principal 'me', but there is a reserved resource in the request "
                f"with no principal set{PLACE}"
            ),
        ),
        (
            operation("RESERVE", reserved(scalar("cpus", 1), msgspec.structs.replace(MINE, principal="you"))),
            (
                "A reserve operation was attempted by authenticated principal 'me', which does not match a reserved "
                f"resource in the request with principal 'you'{PLACE}"
            ),
        ),
        (
            operation("RESERVE", reserved(scalar("cpus", 1), Reservation(type="STATIC", role="web"))),
            f"Resource cpus(allocated: web)(reservations: [(STATIC,web)]):1 is not dynamically reserved{PLACE}",
        ),
        (
            operation("RESERVE", scalar("cpus", 1)),
            f"Resource cpus(allocated: web):1 is not dynamically reserved{PLACE}",
        ),
        (
            operation("RESERVE", reserved(scalar("cpus", 1), msgspec.structs.replace(MINE, role="db"))),
            (
                "A reserve operation was attempted for a resource with role 'db', "
                f"but the resource was allocated to role 'web'{PLACE}"
            ),
        ),
        (
            operation("RESERVE", reserved(scalar("cpus", 1, role="ops"), msgspec.structs.replace(MINE, role="ops"))),
            (
                "A reserve operation was attempted for a resource allocated to role 'ops', but the framework only has "
                f"roles '{{ web }}'{PLACE}"
            ),
        ),
        (operation("RESERVE", reserved(scalar("cpus", 100))), "does not contain cpus(allocated: web):100"),
        (
            operation("RESERVE", scalar("cpus", -1)),
            (
                "Operation attempted with invalid resources: "
                "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
            ),
        ),
        (operation("RESERVE"), f"Invalid resources: The resources have multiple resource providers: {PLACE}"),
        (operation("CREATE", volume()), "does not contain disk(allocated: web)(reservations: [(DYNAMIC,web,me)]):100"),
        (
            operation("CREATE", msgspec.structs.replace(volume(), reservations=())),
            (
                "Invalid resources: Invalid DiskInfo: "
                f"Persistent volumes cannot be created from unreserved resources{PLACE}"
            ),
        ),
        (
            operation("CREATE", reserved(scalar("disk", 100))),
            (
                "Not a persistent volume: Resource disk(allocated: web)(reservations: [(DYNAMIC,web,me)]):100 does not "
                f"have DiskInfo{PLACE}"
            ),
        ),
        (
            operation("UNRESERVE", scalar("cpus", 1)),
            f"Resource cpus(allocated: web):1 is not dynamically reserved{PLACE}",
        ),
        (operation("DESTROY", volume()), f"Persistent volumes not found{PLACE}"),
        (Operation(type="GROW_VOLUME", id=OperationID(value="op"), grow_volume={}), "Invalid GROW_VOLUME operation"),
    ],
)
def test_an_operation_that_is_wrong(wanted: Operation, text: str) -> None:
    world, framework, offer = ready()
    framework.operate(offer, wanted)
    (status,) = feedback(framework)
    assert (status.state, status.uuid, status.agent_id) == ("OPERATION_ERROR", None, None)
    assert text in status.message
    assert again(world, framework).resources == offer.resources


def test_offers_that_are_none() -> None:
    _, framework, _offer = ready()
    framework.call(api.accept([api.OfferID(value="x-O1")], [operation("RESERVE", reserved(scalar("cpus", 1)))]))
    (status,) = feedback(framework)
    assert status.message == "Operation attempted with invalid offers: Offer x-O1 is no longer valid"


def test_a_life_of_a_volume() -> None:
    world, framework, offer = ready()
    framework.operate(
        offer,
        operation("RESERVE", reserved(scalar("disk", 100)), reserved(scalar("cpus", 1)), name=""),
        operation("CREATE", volume(), name="c1"),
    )
    (status,) = feedback(framework)
    assert (status.state, status.agent_id) == ("OPERATION_FINISHED", AgentID(value="m1-S0")) and status.uuid is not None
    offer = again(world, framework)
    assert "disk(allocated: web)(reservations: [(DYNAMIC,web,me)])[v1:d]:100" in str(Resources.of(offer.resources))
    framework.operate(offer, operation("CREATE", volume(), name="c2"))
    assert feedback(framework)[0].message == f"Persistence ID 'v1' is not unique{PLACE}"
    offer = again(world, framework)
    framework.operate(offer, operation("UNRESERVE", volume(), name="u1"))
    assert "cannot be unreserved directly" in feedback(framework)[0].message
    offer = again(world, framework)
    framework.launch(offer, task(offer, "t1", scalar("cpus", 0.1), volume()))
    assert [status.state for status in framework.updates()] == ["TASK_RUNNING"]
    offer = again(world, framework)
    framework.operate(offer, operation("DESTROY", volume(), name="d1"))
    assert feedback(framework)[0].message == f"Persistent volumes in use{PLACE}"
    framework.kill("t1")
    world.advance(1)
    rest = framework.offers()
    framework.call(api.accept([o.id for o in rest], [operation("DESTROY", volume(), name="d2")], 0))
    assert feedback(framework)[0].state == "OPERATION_FINISHED"
    offer = again(world, framework)
    framework.operate(
        offer, operation("UNRESERVE", reserved(scalar("disk", 100)), reserved(scalar("cpus", 1)), name="u2")
    )
    assert feedback(framework)[0].state == "OPERATION_FINISHED"
    assert again(world, framework).resources == again_of_all(world)


def again_of_all(world: World) -> tuple[Resource, ...]:
    total = world.master.cluster.allocator.agents["m1-S0"].total
    assert str(total) == "cpus:4; mem:4096; disk:8192; ports:[31000-31099]" or total.plain
    return total.allocated("web").as_messages()


def test_a_launch_may_use_what_was_just_reserved() -> None:
    _, framework, offer = ready()
    item = reserved(scalar("cpus", 1))
    tasks = (task(offer, "t1", item, scalar("mem", 10)),)
    launch = Operation(type="LAUNCH", launch=Launch(task_infos=tasks))
    framework.operate(offer, operation("RESERVE", item, name=""), launch)
    assert [status.state for status in framework.updates()] == ["TASK_RUNNING"]


def test_a_shared_volume() -> None:
    """Several tasks use it at once; it can be destroyed when none does. Only who knows of sharing sees it."""
    world = World()
    world.agent()
    framework = world.framework("web", principal="me", capabilities=(*MODERN, "SHARED_RESOURCES"))
    shared = msgspec.structs.replace(volume(), shared=Nothing())
    offer = framework.offer()
    framework.operate(offer, operation("RESERVE", reserved(scalar("disk", 100)), name=""), operation("CREATE", shared))
    assert feedback(framework)[0].state == "OPERATION_FINISHED"
    for name in ("t1", "t2"):
        offer = again(world, framework)
        framework.launch(offer, task(offer, name, scalar("cpus", 1), shared))
    assert [status.state for status in framework.updates()] == ["TASK_RUNNING"] * 2
    framework.operate(again(world, framework), operation("DESTROY", shared, name="d1"))
    assert feedback(framework)[-1].message == f"Persistent volumes in use{PLACE}"
    framework.kill("t1")
    framework.kill("t2")
    world.advance(1)
    framework.call(api.accept([o.id for o in framework.offers()], [operation("DESTROY", shared, name="d2")], 0))
    assert feedback(framework)[-1].state == "OPERATION_FINISHED"


def test_feedback_is_repeated_until_acknowledged() -> None:
    world, framework, offer = ready()
    framework.operate(offer, operation("RESERVE", reserved(scalar("cpus", 1))))
    (first,) = feedback(framework)
    world.advance(9)
    assert feedback(framework) == []
    world.advance(2)
    assert feedback(framework) == [first]
    world.advance(18)
    assert feedback(framework) == []
    world.advance(2)
    (last,) = feedback(framework)
    framework.call(api.acknowledge_operation(last))
    world.advance(3600)
    assert feedback(framework) == [] and not world.master.cluster.agents["m1-S0"].operations


def test_a_wrong_acknowledgement_is_none() -> None:
    world, framework, offer = ready()
    framework.operate(offer, operation("RESERVE", reserved(scalar("cpus", 1))))
    (first,) = feedback(framework)
    framework.call(api.acknowledge_operation(msgspec.structs.replace(first, uuid=UUID(value=b"x" * 16))))
    world.advance(11)
    assert feedback(framework) == [first]


def test_reconciliation() -> None:
    _world, framework, offer = ready()
    framework.operate(offer, operation("RESERVE", reserved(scalar("cpus", 1))))
    (first,) = feedback(framework)

    def ask(*wanted: tuple[str, str | None]) -> list[tuple[str, str]]:
        named = [
            api.ReconcileOperation(
                operation_id=OperationID(value=name), agent_id=AgentID(value=agent) if agent is not None else None
            )
            for name, agent in wanted
        ]
        framework.call(api.reconcile_operations(named))
        found = feedback(framework)
        assert all(status.uuid is None for status in found)
        return [(status.state, status.message) for status in found]

    assert ask() == [("OPERATION_FINISHED", "")]
    assert ask(("op", "m1-S0"), ("nope", "m1-S0"), ("nope", None), ("nope", "foreign")) == [
        ("OPERATION_FINISHED", ""),
        ("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown"),
        ("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown and no 'agent_id' was provided"),
        ("OPERATION_UNKNOWN", "Reconciliation: Both operation and agent are unknown"),
    ]
    framework.call(api.acknowledge_operation(first))
    assert ask(("op", "m1-S0")) == [("OPERATION_UNKNOWN", "Reconciliation: Operation is unknown")]


def test_an_agent_that_refuses_is_right() -> None:
    world, framework, offer = ready()
    world.hands_off = True
    framework.operate(offer, operation("RESERVE", reserved(scalar("cpus", 1))))
    agent = next(iter(world.links.values()))
    (apply,) = (m for m in agent.heard if isinstance(m, protocol.ApplyOperation))
    failed = protocol.OperationUpdate(
        agent_id=AgentID(value="m1-S0"),
        operation_uuid=apply.operation_uuid,
        status=OperationStatus(state="OPERATION_FAILED", message="no"),
        total=agent.info.resources,
        framework_id=apply.framework_id,
    )
    world.from_agent(agent, failed)
    (status,) = feedback(framework)
    assert (status.state, status.message) == ("OPERATION_FAILED", "no")
    assert again(world, framework).resources == offer.resources


def test_an_operation_whose_answer_was_lost_is_told_again() -> None:
    world, framework, offer = ready()
    world.hands_off = True
    framework.operate(offer, operation("RESERVE", reserved(scalar("cpus", 1))))
    agent = next(iter(world.links.values()))
    agent.break_link()
    world.hands_off = False
    agent.come_back(total=())
    assert [status.state for status in feedback(framework)] == ["OPERATION_FINISHED"]


def test_refined_reservations() -> None:
    """A child's reservation upon its parent's is offered to the child only."""
    world = World()
    world.agent(resources="cpus:1;mem:100;cpus(web):2;mem(web):100")
    child = world.framework("web/a", principal="me")
    offer = child.offer()
    items = [item for item in offer.resources if item.reservations and item.name == "cpus"]
    refined = msgspec.structs.replace(
        items[0], reservations=(*items[0].reservations, Reservation(type="DYNAMIC", role="web/a", principal="me"))
    )
    child.operate(offer, operation("RESERVE", refined), refuse=100)
    assert [status.state for status in feedback(child)] == ["OPERATION_FINISHED"]
    parent = world.framework("web")
    world.advance(1)
    assert all(len(item.reservations) < 2 for offered in parent.offers() for item in offered.resources)
