"""Machines that will be away: the schedule, inverse offers and their answers, down and up again."""

from __future__ import annotations

import time
from typing import Any

from mesos.core import scheduler_api as api
from mesos.core.messages import TaskState
from tests.mesos.conformance.asking import get, post, until
from tests.mesos.conformance.framework import Framework, number_of
from tests.mesos.conformance.target import Target


async def statuses(mesos: Target) -> list[dict[str, Any]]:
    """What frameworks answered to inverse offers."""
    _, status = await get(mesos.master_url, "/maintenance/status")
    return [answer for machine in status.get("draining_machines", []) for answer in machine.get("statuses", [])]


async def test_a_machine_goes_into_maintenance_and_comes_back(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        machine = {"hostname": offer.hostname, "ip": "127.0.0.1"}
        start = {"nanoseconds": int((time.time() + 3600) * 1e9)}
        window = {
            "machine_ids": [machine],
            "unavailability": {"start": start, "duration": {"nanoseconds": 3_600_000_000_000}},
        }
        status, answer = await post(mesos.master_url, "/maintenance/schedule", {"windows": [window]})
        assert status == 200, answer

        inverse = await framework.wait_for(lambda: list(framework.inverse_offers.values()), "inverse offer")
        assert inverse[0].agent_id == offer.agent_id
        assert inverse[0].unavailability.duration is not None
        assert abs(inverse[0].unavailability.start.nanoseconds - start["nanoseconds"]) < 1_000_000_000
        await framework.call(api.accept_inverse([inverse[0].id], 1.0))
        framework.inverse_offers.clear()
        accepted = await until(lambda: _answered(mesos, "ACCEPT"), "ACCEPT status")
        assert accepted[0]["framework_id"]["value"] == framework.id.value

        inverse = await framework.wait_for(lambda: list(framework.inverse_offers.values()), "another inverse offer")
        await framework.call(api.decline_inverse([inverse[0].id]))
        await until(lambda: _answered(mesos, "DECLINE"), "DECLINE status")

        await framework.decline_all()
        marked = await framework.offer(lambda o: o.hostname == offer.hostname and o.unavailability is not None)
        assert marked.unavailability is not None

        status, answer = await post(mesos.master_url, "/machine/down", [machine])
        assert status == 200, answer
        _, down = await get(mesos.master_url, "/maintenance/status")
        assert down["down_machines"] == [machine]
        await framework.status("t", TaskState.LOST)  # even to a framework that knows partitions
        status, answer = await post(mesos.master_url, "/machine/up", [machine])
        assert status == 200, answer
        status, answer = await post(mesos.master_url, "/maintenance/schedule", {})
        assert status == 200, answer
        _, empty = await get(mesos.master_url, "/maintenance/status")
        assert empty == {}

    async def has_ended() -> bool:
        return not await mesos.agent_is_up(number_of(offer))

    await until(has_ended, "end of the agent on the machine")
    await mesos.forget_agent(number_of(offer))
    await mesos.start_agent(number_of(offer))
    async with Framework(mesos) as framework:
        new = await framework.offer(lambda o: o.hostname == offer.hostname)
        assert new.unavailability is None


async def _answered(mesos: Target, word: str) -> list[dict[str, Any]]:
    return [answer for answer in await statuses(mesos) if answer["status"] == word]
