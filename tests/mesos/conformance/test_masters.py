"""Masters that die and are elected anew, schedulers that take over, and who may subscribe at all."""

from __future__ import annotations

import pytest

from mesos.auth import Credentials
from mesos.core import scheduler_api as api
from mesos.core.messages import FrameworkID, Reason, TaskID, TaskState
from mesos.scheduler_driver import Refused
from tests.mesos.conformance.asking import basic, get, operate, post, until
from tests.mesos.conformance.conftest import MakeMesos
from tests.mesos.conformance.framework import Framework
from tests.mesos.conformance.target import Target

PROMPT_S = 90.0


async def all_agents_are_back(mesos: Target) -> None:
    async def look() -> bool:
        agents = (await operate(mesos, "GET_AGENTS")).get("agents", [])
        return len([a for a in agents if a["active"]]) == mesos.agents

    await until(look, "agents", 60)


async def test_a_framework_survives_its_master(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        mine = framework.id
        _, before = await get(mesos.master_url, "/state")
        await mesos.kill_master()
        await framework.wait_for(lambda: framework.heard.disconnections, "disconnection")
        with pytest.raises(Exception, match="not subscribed"):
            await framework.call(api.revive())
        await mesos.start_master()
        await framework.wait_for(lambda: framework.heard.subscriptions == 2, "second subscription", PROMPT_S)
        assert framework.id == mine
        _, after = await get(mesos.master_url, "/state")
        assert after["id"] != before["id"]
        await all_agents_are_back(mesos)
        await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id)]))
        await framework.status("t", TaskState.RUNNING, lambda s: s.reason == Reason.RECONCILIATION)
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        await framework.offer()


async def test_another_scheduler_takes_over(mesos: Target) -> None:
    async with Framework(mesos) as first:
        offer = await first.offer()
        await first.launch(offer, "t")
        await first.status("t", TaskState.RUNNING)
        async with Framework(mesos, framework_id=first.id) as second:
            await first.wait_for(lambda: first.failed, "end of the first")
            assert isinstance(first.failed, Refused)
            assert "failed over" in str(first.failed).lower()
            await second.call(api.reconcile())
            await second.status("t", TaskState.RUNNING)
            first.keep()


async def test_a_scheduler_that_was_away_finds_its_tasks(mesos: Target) -> None:
    async with Framework(mesos) as first:
        await first.launch(await first.offer(), "t")
        await first.status("t", TaskState.RUNNING)
        first.keep()
    async with Framework(mesos, framework_id=first.id) as second:
        assert second.id == first.id
        await second.call(api.reconcile())
        await second.status("t", TaskState.RUNNING)
        await second.call(api.kill(TaskID(value="t")))
        await second.status("t", TaskState.KILLED)


async def test_an_update_waits_for_a_scheduler_that_is_away(mesos: Target) -> None:
    async with Framework(mesos) as first:
        await first.launch(await first.offer(), "t", {"finish": 0.5})
        await first.status("t", TaskState.RUNNING)
        first.keep()
    async with Framework(mesos, framework_id=first.id) as second:
        await second.status("t", TaskState.FINISHED)


async def test_a_framework_that_was_torn_down_cannot_come_back(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        mine = framework.id
    with pytest.raises(Refused):
        async with Framework(mesos, framework_id=mine):
            pass


async def test_a_framework_whose_time_is_over_is_ended(mesos: Target) -> None:
    async with Framework(mesos, failover_timeout_s=0.5) as framework:
        await framework.launch(await framework.offer(), "t")
        await framework.status("t", TaskState.RUNNING)
        framework.keep()

    async def is_completed() -> bool:
        answer = await operate(mesos, "GET_FRAMEWORKS")
        return framework.id.value in [
            f["framework_info"]["id"]["value"] for f in answer.get("completed_frameworks", [])
        ]

    await until(is_completed, "completed framework")


@pytest.mark.parametrize(
    ("call", "stream", "status", "words"),
    [
        ({"type": "SUBSCRIBE"}, None, 400, "subscribe"),
        ({"type": "REVIVE", "framework_id": {"value": "nobody"}}, "x", 400, "Framework cannot be found"),
        ({"type": "REVIVE"}, None, 400, "framework_id"),
        ({"type": "NONSENSE"}, None, 400, ""),
        ({}, None, 400, "type"),
        ([], None, 400, ""),
        (b"{", None, 400, "JSON"),
    ],
)
async def test_what_a_master_refuses(mesos: Target, call: object, stream: str | None, status: int, words: str) -> None:
    headers = {"Mesos-Stream-Id": stream} if stream else {}
    got, text = await post(mesos.master_url, "/api/v1/scheduler", call, headers)
    assert got == status, text
    assert words.lower() in str(text).lower()


async def test_a_call_with_the_wrong_stream_is_refused(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        call = {"type": "REVIVE", "framework_id": {"value": framework.id.value}}
        status, text = await post(mesos.master_url, "/api/v1/scheduler", call)
        assert status == 400 and "Mesos-Stream-Id" in text
        status, text = await post(mesos.master_url, "/api/v1/scheduler", call, {"Mesos-Stream-Id": "wrong"})
        assert status == 400 and "stream ID" in text
        status, _ = await post(mesos.master_url, "/api/v1/scheduler", b"<x/>", {"Content-Type": "text/xml"})
        assert status == 415
        status, _ = await get(mesos.master_url, "/api/v1/scheduler")
        assert status == 405


async def test_a_bad_framework_is_refused_with_words(mesos: Target) -> None:
    with pytest.raises(Refused) as refused:
        async with Framework(mesos, roles=["/not/a/role/"]):
            pass
    assert "role" in str(refused.value)


async def test_credentials(make_mesos: MakeMesos) -> None:
    mesos = await make_mesos(agents=1, credentials={"me": "pw"})
    with pytest.raises(Refused, match="401"):
        async with Framework(mesos):
            pass
    with pytest.raises(Refused, match="401"):
        async with Framework(mesos, credentials=Credentials(principal="me", secret="wrong")):
            pass
    async with Framework(mesos, credentials=Credentials(principal="me", secret="pw")) as framework:
        await framework.launch(await framework.offer(), "t")
        await framework.status("t", TaskState.RUNNING)  # the executor has a token of its own
        await framework.call(api.kill(TaskID(value="t")))
        await framework.status("t", TaskState.KILLED)
        call = {"type": "REVIVE", "framework_id": {"value": framework.id.value}}
        assert (await post(mesos.master_url, "/api/v1/scheduler", call))[0] == 401
    agents = await operate(mesos, "GET_AGENTS", basic("me", "pw"))
    assert len(agents["agents"]) == 1


async def test_three_masters_and_the_leader_dies(make_mesos: MakeMesos) -> None:
    mesos = await make_mesos(agents=1, masters=3)
    first = await _leader(mesos)
    other = next(number for number in range(3) if number != first)
    subscribe = {"type": "SUBSCRIBE", "subscribe": {"framework_info": {"user": "root", "name": "x"}}}

    async def shows_the_way() -> bool:
        """To the leader; before it has heard of one, a master says 503."""
        status, _ = await post(mesos.url_of_master(other), "/api/v1/scheduler", subscribe)
        assert status in (307, 503)
        return status == 307

    await until(shows_the_way, "redirect")
    async with Framework(mesos) as framework:  # told zk://
        await framework.launch(await framework.offer(), "t")
        await framework.status("t", TaskState.RUNNING)
        mine = framework.id
        leads = [number for number in range(3) if mesos.url_of_master(number) == framework.driver.master_url]
        first = leads[0]  # it may be another one by now
        await mesos.kill_master(first)
        await framework.wait_for(lambda: framework.heard.subscriptions == 2, "second subscription", PROMPT_S)
        assert framework.id == mine
        assert framework.driver.master_url != mesos.url_of_master(first)
        second = await _leader(mesos)
        assert second != first

        async def knows_the_task() -> bool:
            """Nobody answers for a task whose agent is not back yet."""
            await framework.call(api.reconcile([(TaskID(value="t"), None)]))
            return any(s.task_id.value == "t" for s in framework.heard.statuses)

        await until(knows_the_task, "word of the task", PROMPT_S)
        await framework.status("t", TaskState.RUNNING)
        await mesos.start_master(first)
        await framework.call(api.kill(TaskID(value="t")))
        await framework.status("t", TaskState.KILLED)


async def _leader(mesos: Target) -> int:
    async def look() -> list[int]:
        number = await mesos.leader()
        return [] if number is None else [number]

    return int((await until(look, "leader", PROMPT_S))[0])


async def test_a_list_of_addresses_finds_the_leader(make_mesos: MakeMesos) -> None:
    mesos = await make_mesos(agents=1, masters=3)
    addresses = ",".join(mesos.url_of_master(number).removeprefix("http://") for number in range(3))
    async with Framework(mesos, leader_text=addresses) as framework:
        await framework.offer()


async def test_a_framework_id_that_nobody_gave(mesos: Target) -> None:
    async with Framework(mesos, framework_id=FrameworkID(value="made-up-0000")) as framework:
        assert framework.id == FrameworkID(value="made-up-0000")  # Mesos believes it: its master may be new
