"""Who is offered what, and when: filters, suppression, roles, reservations, quota."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from msgspec import structs

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    Capability,
    DiskInfo,
    Offer,
    Operation,
    OperationID,
    OperationState,
    OperationType,
    Persistence,
    Reservation,
    Resource,
    ResourcesOf,
    TaskState,
    Volume,
    Volumes,
    scalar,
)
from tests.mesos.conformance.asking import operate, until
from tests.mesos.conformance.framework import DEFAULT, Framework, launching
from tests.mesos.conformance.target import Target

#: Long enough for several rounds of allocation (0.2 s each), to see that nothing comes.
SILENCE_S = 1.0


async def hears_no_offer(framework: Framework, of: Offer | None = None) -> None:
    with pytest.raises(AssertionError, match="no such offer"):
        await framework.offer(lambda o: of is None or o.agent_id == of.agent_id, timeout_s=SILENCE_S)


def amount(offer: Offer, name: str) -> float:
    return sum(r.scalar.value for r in offer.resources if r.name == name and r.scalar is not None)


async def test_a_declined_offer_stays_away_for_as_long_as_was_said(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.call(api.decline([offer.id], 3600))
        await hears_no_offer(framework, of=offer)
        await framework.call(api.revive())
        await framework.offer(lambda o: o.agent_id == offer.agent_id)


async def test_for_ever_is_a_time_too(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.call(api.decline([offer.id], math.inf))
        await hears_no_offer(framework, of=offer)


async def test_a_short_filter_ends_by_itself(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.call(api.decline([offer.id], 0.3))
        again = await framework.offer(lambda o: o.agent_id == offer.agent_id)
        assert again.id != offer.id


async def test_the_filter_of_an_acceptance_is_for_what_is_left_over(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        task = framework.task(offer, "t")
        await framework.operate(offer, launching(task), refuse_seconds=3600)
        await framework.status("t", TaskState.RUNNING)
        await hears_no_offer(framework, of=offer)


async def test_one_resource_is_offered_to_one_framework_at_a_time(mesos: Target) -> None:
    async with Framework(mesos) as first:
        await first.offer()
        await first.offer()
        async with Framework(mesos) as second:
            await hears_no_offer(second)


async def test_who_suppresses_hears_nothing_until_it_revives(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.offer()
        await framework.call(api.suppress())
        await framework.decline_all()
        await hears_no_offer(framework)
        await framework.call(api.revive())
        await framework.offer()


async def test_roles_are_suppressed_one_by_one(mesos: Target) -> None:
    async with Framework(mesos, roles=["a", "b"]) as framework:
        await framework.call(api.suppress(["a"]))
        await framework.wait_for(lambda: framework.offers, "offers")
        await framework.decline_all()
        offer = await framework.offer(lambda o: o.allocation_info == AllocationInfo(role="b"))
        await framework.call(api.decline([offer.id], 0.0))
        with pytest.raises(AssertionError, match="no such offer"):
            await framework.offer(lambda o: o.allocation_info == AllocationInfo(role="a"), timeout_s=SILENCE_S)


async def test_a_framework_may_change_its_roles(mesos: Target) -> None:
    async with Framework(mesos, roles=["a"]) as framework:
        await framework.offer()
        changed = structs.replace(framework.info, id=framework.id, roles=("b",))
        await framework.call(api.update_framework(changed))
        await framework.offer(lambda o: o.allocation_info == AllocationInfo(role="b"))


async def test_offers_end_when_their_agent_does(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        framework.offers[offer.id.value] = offer
        await mesos.kill_agent(int(offer.hostname.removeprefix("agent")))
        rescinded = await framework.event_of(
            api.EventType.RESCIND, lambda e: e.rescind is not None and e.rescind.offer_id == offer.id
        )
        assert rescinded.rescind is not None


def reserved(resource: Resource, role: str) -> Resource:
    mine = AllocationInfo(role=role)
    return structs.replace(resource, allocation_info=mine, reservations=(Reservation(type="DYNAMIC", role=role),))


def holds(agent: AgentID, *, reservations: bool) -> Callable[[Offer], bool]:
    """Offers of this agent, with or without anything that is reserved."""

    def look(offer: Offer) -> bool:
        return offer.agent_id == agent and any(r.reservations for r in offer.resources) is reservations

    return look


async def test_reservations_and_volumes(mesos: Target) -> None:
    async with Framework(mesos, roles=["web"]) as framework:
        offer = await framework.offer()
        agent = offer.agent_id
        cpus, disk = reserved(scalar("cpus", 1), "web"), reserved(scalar("disk", 64), "web")
        keep = ResourcesOf(resources=(cpus, disk))
        await framework.operate(offer, Operation(type=OperationType.RESERVE, reserve=keep))
        offer = await framework.offer(holds(agent, reservations=True))
        assert amount(offer, "cpus") == 4.0
        persistence = DiskInfo(persistence=Persistence(id="v1"), volume=Volume(container_path="data", mode="RW"))
        volume = structs.replace(disk, disk=persistence)
        await framework.operate(offer, Operation(type=OperationType.CREATE, create=Volumes(volumes=(volume,))))

        def has_volume(o: Offer) -> bool:
            return o.agent_id == agent and any(r.disk is not None and r.disk.persistence for r in o.resources)

        offer = await framework.offer(has_volume)
        destroy = Operation(type=OperationType.DESTROY, destroy=Volumes(volumes=(volume,)))
        give_back = Operation(type=OperationType.UNRESERVE, unreserve=keep)
        await framework.operate(offer, destroy, give_back)
        await framework.offer(holds(agent, reservations=False))


async def test_a_reservation_holds_for_others(mesos: Target) -> None:
    async with Framework(mesos, roles=["web"]) as mine:
        offer = await mine.offer()
        keep = ResourcesOf(resources=(reserved(scalar("cpus", 3), "web"),))
        await mine.operate(offer, Operation(type=OperationType.RESERVE, reserve=keep))
        offer = await mine.offer(holds(offer.agent_id, reservations=True))
        await mine.call(api.suppress())
        await mine.call(api.decline([offer.id], 0.0))
        async with Framework(mesos, roles=["other"]) as stranger:
            seen = await stranger.offer(lambda o: o.agent_id == offer.agent_id)
            assert amount(seen, "cpus") == 1.0
        await mine.call(api.revive())
        offer = await mine.offer(holds(offer.agent_id, reservations=True))
        await mine.operate(offer, Operation(type=OperationType.UNRESERVE, unreserve=keep))
        await mine.offer(holds(offer.agent_id, reservations=False))


async def test_an_operation_with_an_id_is_answered_and_acknowledged(mesos: Target) -> None:
    async with Framework(mesos, roles=["web"]) as framework:
        offer = await framework.offer()
        keep = ResourcesOf(resources=(reserved(scalar("cpus", 1), "web"),))
        reserve = Operation(type=OperationType.RESERVE, id=OperationID(value="op1"), reserve=keep)
        await framework.operate(offer, reserve)
        told = (await framework.event_of(api.EventType.UPDATE_OPERATION_STATUS)).update_operation_status
        assert told is not None
        assert (told.status.state, told.status.operation_id) == (OperationState.FINISHED, OperationID(value="op1"))
        assert told.status.agent_id == offer.agent_id
        await framework.call(api.acknowledge_operation(told.status))
        offer = await framework.offer(holds(offer.agent_id, reservations=True))
        await framework.operate(offer, Operation(type=OperationType.UNRESERVE, unreserve=keep))
        await framework.offer(holds(offer.agent_id, reservations=False))


async def test_an_operation_that_cannot_be_is_refused(mesos: Target) -> None:
    async with Framework(mesos, roles=["web"]) as framework:
        offer = await framework.offer()
        keep = ResourcesOf(resources=(reserved(scalar("cpus", 1000), "web"),))
        reserve = Operation(type=OperationType.RESERVE, id=OperationID(value="op2"), reserve=keep)
        await framework.operate(offer, reserve)
        told = (await framework.event_of(api.EventType.UPDATE_OPERATION_STATUS)).update_operation_status
        assert told is not None
        assert told.status.state == OperationState.ERROR
        await framework.offer(lambda o: o.agent_id == offer.agent_id)


async def test_the_limit_of_a_role_is_kept(mesos: Target) -> None:
    try:
        async with Framework(mesos, roles=["db"]) as framework:
            limits = {"cpus": {"value": 1}, "mem": {"value": 512}}
            await operate(
                mesos, "UPDATE_QUOTA", update_quota={"force": True, "quota_configs": [{"role": "db", "limits": limits}]}
            )
            quota = await operate(mesos, "GET_QUOTA")
            assert [config["role"] for config in quota["status"]["configs"]] == ["db"]
            await framework.decline_all()
            await framework.call(api.revive())
            offer = await framework.offer(lambda o: amount(o, "cpus") <= 1)
            assert amount(offer, "mem") <= 512
            await framework.launch(
                offer, "t", resources=[scalar("cpus", amount(offer, "cpus") - 0.1), scalar("mem", 64)]
            )
            await framework.status("t", TaskState.RUNNING)
            await framework.call(api.revive())
            with pytest.raises(AssertionError, match="no such offer"):
                await framework.offer(lambda o: amount(o, "cpus") > 0.5, timeout_s=SILENCE_S)
    finally:
        await operate(mesos, "UPDATE_QUOTA", update_quota={"force": True, "quota_configs": [{"role": "db"}]})


async def test_weights_are_kept(mesos: Target) -> None:
    await operate(mesos, "UPDATE_WEIGHTS", update_weights={"weight_infos": [{"role": "web", "weight": 2.0}]})
    weights = await operate(mesos, "GET_WEIGHTS")
    assert {"role": "web", "weight": 2.0} in weights["weight_infos"]


async def test_a_framework_without_several_roles_uses_the_old_field(mesos: Target) -> None:
    capabilities = set(DEFAULT) - {Capability.MULTI_ROLE}
    async with Framework(mesos, roles=["old"], capabilities=capabilities) as framework:
        offer = await framework.offer()
        task = framework.task(offer, "t")
        await framework.operate(offer, launching(task))
        await framework.status("t", TaskState.RUNNING)


async def test_who_leaves_gives_its_offers_back(mesos: Target) -> None:
    async with Framework(mesos) as first:
        await first.offer()
        await first.offer()
        first.keep()
    async with Framework(mesos) as second:
        await second.offer()
        await second.offer()

    async def is_inactive() -> bool:
        frameworks = (await operate(mesos, "GET_FRAMEWORKS"))["frameworks"]
        return any(f["framework_info"]["id"]["value"] == first.id.value and not f["active"] for f in frameworks)

    await until(is_inactive, "inactive framework")
