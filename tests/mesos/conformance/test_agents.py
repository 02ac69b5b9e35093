"""Agents that go and come back, and what their tasks and frameworks see of it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from mesos.core import scheduler_api as api
from mesos.core.messages import AgentID, Offer, Reason, TaskID, TaskState, TaskStatus
from tests.mesos.conformance.asking import operate, until
from tests.mesos.conformance.framework import Framework, number_of, running_pid
from tests.mesos.conformance.target import Target
from tests.mesos.conformance.test_life_of_a_task import is_alive, is_gone


async def agent_entry(mesos: Target, agent_id: AgentID) -> dict[str, Any] | None:
    agents = (await operate(mesos, "GET_AGENTS")).get("agents", [])
    found = [a for a in agents if a["agent_info"]["id"]["value"] == agent_id.value]
    return found[0] if found else None


async def is_back(mesos: Target, agent_id: AgentID) -> None:
    async def look() -> bool:
        entry = await agent_entry(mesos, agent_id)
        return entry is not None and bool(entry.get("active"))

    await until(look, f"agent {agent_id.value}, active again")


async def test_executor_and_task_survive_their_agent(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        await mesos.kill_agent(number_of(offer))
        assert is_alive(pid)
        await mesos.start_agent(number_of(offer))
        await is_back(mesos, offer.agent_id)  # with the same id
        assert is_alive(pid)
        await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id)]))
        await framework.status("t", TaskState.RUNNING, lambda s: s.reason == Reason.RECONCILIATION)
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        assert not [s for s in framework.heard.statuses if s.state in (TaskState.LOST, TaskState.FAILED)]
    await is_gone(pid)


async def test_no_update_is_lost_while_the_agent_is_away(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t", {"finish": 1.0, "updates": 3})
        await framework.status("t", TaskState.RUNNING)
        await mesos.kill_agent(number_of(offer))  # it finishes meanwhile
        framework.heard.statuses.clear()
        await asyncio.sleep(1.2)  # the executor's own timer can't be seen from outside
        await mesos.start_agent(number_of(offer))
        await framework.status("t", TaskState.FINISHED)
        said = [e.update.status for e in framework.heard.events if e.update is not None]
        assert len({s.message for s in said if s.message.startswith("update")}) == 3
        ends = {(s.state, s.uuid) for s in said if s.state != TaskState.RUNNING}  # one may be said twice, as may any
        assert [state for state, _ in ends] == [TaskState.FINISHED]


async def test_without_checkpoints_the_executor_dies_with_its_agent(mesos: Target) -> None:
    async with Framework(mesos, checkpoint=False) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        await mesos.kill_agent(number_of(offer))
        await is_gone(pid)
        lost = await framework.status("t", TaskState.LOST)
        assert lost.reason == Reason.AGENT_DISCONNECTED


async def test_an_executor_that_does_not_come_back_is_given_up(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        await mesos.kill_agent(number_of(offer))
        os.kill(pid, 9)
        await mesos.start_agent(number_of(offer))
        failed = await framework.status("t", TaskState.FAILED)
        assert failed.reason in (Reason.EXECUTOR_TERMINATED, Reason.EXECUTOR_REREGISTRATION_TIMEOUT)


async def test_a_lost_agent_makes_its_tasks_unreachable_and_its_return_brings_them_back(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        await mesos.kill_agent(number_of(offer))
        gone = await framework.status("t", TaskState.UNREACHABLE)
        assert (gone.reason, gone.uuid) == (Reason.AGENT_REMOVED, b"")
        assert gone.unreachable_time is not None
        lost_agent = await framework.event_of(
            api.EventType.FAILURE, lambda e: e.failure is not None and e.failure.executor_id is None
        )
        assert lost_agent.failure is not None and lost_agent.failure.agent_id == offer.agent_id
        await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id), (TaskID(value="x"), offer.agent_id)]))
        await framework.status("t", TaskState.UNREACHABLE, lambda s: s.reason == Reason.RECONCILIATION)
        await framework.status("x", TaskState.UNREACHABLE, lambda s: s.reason == Reason.RECONCILIATION)
        await mesos.start_agent(number_of(offer))
        back = await framework.status("t", TaskState.RUNNING)
        assert back.reason in (Reason.AGENT_REREGISTERED, "")
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)


async def test_who_knows_no_partitions_loses_the_task(mesos: Target) -> None:
    async with Framework(mesos, capabilities=()) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        await mesos.kill_agent(number_of(offer))
        lost = await framework.status("t", TaskState.LOST)
        assert lost.reason == Reason.AGENT_REMOVED
        # A real master aborts when an executor ends whose framework was torn down while its agent was away.
        await mesos.start_agent(number_of(offer))
        await is_back(mesos, offer.agent_id)


async def test_an_agent_that_says_goodbye_takes_its_tasks_along(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        await mesos.shutdown_agent(number_of(offer))
        lost = await framework.wait_for(lambda: _ended(framework, "t"), "end of the task")
        assert lost is not None
        assert lost.state in (TaskState.LOST, TaskState.GONE)
        await framework.event_of(
            api.EventType.FAILURE, lambda e: e.failure is not None and e.failure.executor_id is None
        )
        await is_gone(pid)
        await mesos.start_agent(number_of(offer))
        await framework.offer(lambda o: o.hostname == offer.hostname)


def _ended(framework: Framework, task: str) -> TaskStatus | None:
    mine = [s for s in framework.heard.statuses if s.task_id.value == task and s.state != TaskState.RUNNING]
    return mine[0] if mine else None


async def test_an_agent_that_an_operator_marks_gone(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        number = number_of(offer)
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        await operate(mesos, "MARK_AGENT_GONE", mark_agent_gone={"agent_id": {"value": offer.agent_id.value}})
        gone = await framework.status("t", TaskState.GONE_BY_OPERATOR)
        assert gone.uuid == b""

        async def has_ended() -> bool:
            return not await mesos.agent_is_up(number)

        await until(has_ended, "end of the agent")
        await mesos.forget_agent(number)
        await mesos.start_agent(number)
        new = await framework.offer(lambda o: o.hostname == offer.hostname)
        assert new.agent_id != offer.agent_id
        await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id)]))
        again = await framework.status("t", TaskState.GONE_BY_OPERATOR, lambda s: s.reason == Reason.RECONCILIATION)
        assert again.uuid == b""


async def test_a_drained_agent_is_empty_and_comes_back(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t", executor_id="exo")
        await framework.status("t", TaskState.RUNNING)
        agent = {"value": offer.agent_id.value}
        await operate(mesos, "DRAIN_AGENT", drain_agent={"agent_id": agent})
        killed = await framework.status("t", TaskState.KILLED)
        assert killed.reason in ("", Reason.AGENT_DRAINING)

        async def is_drained() -> bool:
            entry = await agent_entry(mesos, offer.agent_id)
            return entry is not None and entry.get("drain_info", {}).get("state") == "DRAINED"

        await until(is_drained, "DRAINED")
        entry = await agent_entry(mesos, offer.agent_id)
        assert entry is not None and entry["deactivated"]
        # a real agent goes on draining until the executors that it had are gone
        await framework.call(api.shutdown(framework.executor("exo", "*").executor_id, offer.agent_id))
        await framework.event_of(api.EventType.FAILURE)
        await operate(mesos, "REACTIVATE_AGENT", reactivate_agent={"agent_id": agent})
        await framework.call(api.revive())
        new: Offer = await framework.offer(lambda o: o.agent_id == offer.agent_id)
        await framework.launch(new, "t2")
        await framework.status("t2", TaskState.RUNNING)


async def test_a_deactivated_agent_offers_nothing_and_keeps_its_tasks(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        agent = {"value": offer.agent_id.value}
        await operate(mesos, "DEACTIVATE_AGENT", deactivate_agent={"agent_id": agent})
        await framework.wait_for(
            lambda: not [o for o in framework.offers.values() if o.agent_id == offer.agent_id], "rescinded offers"
        )
        await framework.call(api.reconcile([(TaskID(value="t"), offer.agent_id)]))
        await framework.status("t", TaskState.RUNNING)
        await operate(mesos, "REACTIVATE_AGENT", reactivate_agent={"agent_id": agent})
        await framework.offer(lambda o: o.agent_id == offer.agent_id)
