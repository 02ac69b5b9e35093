"""From an offer to the last status, with our drivers at both ends: what every framework does all day."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import structs

from mesos.core import scheduler_api as api
from mesos.core.messages import (
    CommandURI,
    DurationInfo,
    ExecutorID,
    KillPolicy,
    LaunchGroup,
    Operation,
    OperationType,
    Reason,
    Source,
    TaskGroupInfo,
    TaskID,
    TaskState,
    ranges,
    scalar,
)
from tests.mesos.conformance.asking import operate, until
from tests.mesos.conformance.framework import Framework, allocated, launching, number_of, running_pid
from tests.mesos.conformance.target import Target, task_ports


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def is_gone(pid: int) -> None:
    async def look() -> bool:
        return not is_alive(pid)

    await until(look, f"end of process {pid}")


async def test_an_offer_shows_the_agent(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        number = number_of(offer)
        attributes = {a.name: a for a in offer.attributes}
        assert attributes["host"].text is not None and attributes["host"].text.value == offer.hostname
        assert attributes["rack"].text is not None and attributes["rack"].text.value == f"r{number}"
        assert attributes["slots"].scalar is not None and attributes["slots"].scalar.value == 3.0
        resources = {r.name: r for r in offer.resources}
        assert resources["cpus"].scalar is not None and resources["cpus"].scalar.value == 4.0
        assert resources["mem"].scalar is not None and resources["mem"].scalar.value == 4096.0
        assert resources["ports"] == ranges("ports", task_ports(mesos.port, number), role="*")
        assert offer.allocation_info is not None and offer.allocation_info.role == "*"
        assert offer.url is not None and offer.url.path == "/slave(1)"
        assert offer.url.address.port == int(mesos.agent_url(number).rsplit(":", 1)[1])
        assert offer.framework_id == framework.id
        other = await framework.offer(lambda o: o.agent_id != offer.agent_id)
        assert other.hostname != offer.hostname


async def test_a_task_runs_and_finishes(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        first, last = task_ports(mesos.port, number_of(offer))
        wanted = [scalar("cpus", 0.5), scalar("mem", 64), ranges("ports", (first, first + 1))]
        await framework.launch(offer, "t1", resources=wanted)
        running = await framework.status("t1", TaskState.RUNNING)
        assert running.source == Source.EXECUTOR
        assert running.executor_id == ExecutorID(value="ex")
        assert running.agent_id == offer.agent_id
        assert running.timestamp is not None and len(running.uuid) == 16
        assert running.container_status is not None and running.container_status.container_id is not None
        sandbox = Path(os.fsdecode(running.data))
        run = running.container_status.container_id.value
        assert sandbox.match(f"slaves/{offer.agent_id.value}/frameworks/{framework.id.value}/executors/ex/runs/{run}")
        assert (sandbox / "stdout").is_file() and (sandbox / "stderr").is_file()

        rest = await framework.offer(lambda o: o.hostname == offer.hostname)
        left = {r.name: r for r in rest.resources}
        assert left["cpus"].scalar is not None and left["cpus"].scalar.value == pytest.approx(3.4)
        assert left["mem"].scalar is not None and left["mem"].scalar.value == 4096 - 64 - 32
        assert left["ports"] == ranges("ports", (first + 2, last), role="*")
        assert rest.executor_ids == (ExecutorID(value="ex"),)

        await framework.launch(rest, "t2", {"finish": 0.1})  # on the same executor
        await framework.status("t2", TaskState.RUNNING)
        await framework.status("t2", TaskState.FINISHED)
        rest = await framework.offer(lambda o: o.hostname == offer.hostname)
        await framework.launch(rest, "t3", {"fail": True})
        assert (await framework.status("t3", TaskState.FAILED)).source == Source.EXECUTOR


async def test_what_a_task_used_is_offered_again(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t", {"finish": 0}, resources=[scalar("cpus", 3.9), scalar("mem", 1000)])
        await framework.status("t", TaskState.FINISHED)
        mine = [o for o in framework.offers.values() if o.hostname == offer.hostname]
        offers = [*mine, *([] if mine else [await framework.offer(lambda o: o.hostname == offer.hostname)])]
        await framework.call(api.decline([o.id for o in offers], 0.0))
        framework.offers = {k: o for k, o in framework.offers.items() if o not in offers}

        def is_back() -> float:
            """cpus of this agent in all offers together; the idle executor still has its 0.1."""
            mine = [o for o in framework.offers.values() if o.hostname == offer.hostname]
            cpus = [r.scalar.value for o in mine for r in o.resources if r.name == "cpus" and r.scalar is not None]
            return sum(cpus) == pytest.approx(3.9)

        await framework.wait_for(is_back, "3.9 cpus")


async def test_a_starting_task_says_so(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.launch(await framework.offer(), "t", {"starting": True})
        await framework.status("t", TaskState.RUNNING)
        states = [s.state for s in (e.update.status for e in framework.heard.events if e.update is not None)]
        assert states[:2] == [TaskState.STARTING, TaskState.RUNNING]


async def test_a_kill_reaches_the_executor_with_its_policy(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        policy = KillPolicy(grace_period=DurationInfo(nanoseconds=5_000_000))
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id, policy))
        killed = await framework.status("t", TaskState.KILLED)
        assert "5000000" in killed.message


async def test_killing_what_nobody_knows_is_answered(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.call(api.kill(TaskID(value="nobody")))
        status = await framework.status("nobody", TaskState.UNKNOWN)
        assert (status.reason, status.uuid) == (Reason.RECONCILIATION, b"")


async def test_a_kill_before_the_executor_is_up(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.call(api.kill(TaskID(value="t"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        assert not [s for s in framework.heard.statuses if s.state == TaskState.FAILED]


async def test_messages_go_both_ways(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t", {"message": "hello from the task"})
        first = await framework.event_of(api.EventType.MESSAGE)
        assert first.message is not None and first.message.data == b"hello from the task"
        await framework.call(api.message(offer.agent_id, ExecutorID(value="ex"), b"\0ping\xff"))
        echo = await framework.event_of(
            api.EventType.MESSAGE, lambda e: e.message is not None and e.message.data.startswith(b"echo")
        )
        assert echo.message is not None
        assert echo.message.data == b"echo \0ping\xff"
        assert (echo.message.executor_id, echo.message.agent_id) == (ExecutorID(value="ex"), offer.agent_id)


async def test_reconciliation_explicit_implicit_and_of_strangers(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        await framework.call(
            api.reconcile(
                [(TaskID(value="t"), offer.agent_id), (TaskID(value="x"), None), (TaskID(value="y"), offer.agent_id)]
            )
        )
        known = await framework.status("t", TaskState.RUNNING, lambda s: s.reason == Reason.RECONCILIATION)
        assert (known.uuid, known.source) == (b"", Source.MASTER)
        stranger = await framework.status("x", TaskState.UNKNOWN)
        assert (stranger.reason, stranger.uuid, stranger.source) == (Reason.RECONCILIATION, b"", Source.MASTER)
        gone = await framework.status("y", TaskState.GONE)  # its agent is here, and does not know it
        assert gone.reason == Reason.RECONCILIATION
        await framework.call(api.reconcile())
        await framework.status("t", TaskState.RUNNING, lambda s: s.reason == Reason.RECONCILIATION)


async def test_a_framework_that_knows_no_partitions_hears_of_lost_tasks(mesos: Target) -> None:
    async with Framework(mesos, capabilities=()) as framework:
        await framework.call(api.reconcile([(TaskID(value="x"), None)]))
        assert (await framework.status("x", TaskState.LOST)).reason == Reason.RECONCILIATION


async def test_an_unacknowledged_status_is_said_again(mesos: Target) -> None:
    async with Framework(mesos, acknowledge=False) as framework:
        await framework.launch(await framework.offer(), "t", {"updates": 2})
        first = await framework.status("t", TaskState.RUNNING)
        again = await framework.status("t", TaskState.RUNNING)
        assert again.uuid == first.uuid  # the next update waits for it
        framework.acknowledge = True
        await framework.call(api.acknowledge(again))
        later = await framework.status("t", TaskState.RUNNING, lambda s: s.uuid != first.uuid)
        assert later.uuid


async def test_updates_come_in_order(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.launch(await framework.offer(), "t", {"updates": 20, "finish": 0})
        await framework.status("t", TaskState.FINISHED)
        said = [e.update.status for e in framework.heard.events if e.update is not None]
        numbers = [s.message for s in said if s.state == TaskState.RUNNING and not s.message.startswith("pid")]
        assert numbers == sorted(numbers, key=lambda text: int(text.split()[-1]))
        assert len(set(numbers)) == 20


async def test_a_crashed_executor_fails_its_task(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        os.kill(pid, 9)
        failed = await framework.status("t", TaskState.FAILED)
        assert (failed.source, failed.reason) == (Source.AGENT, Reason.EXECUTOR_TERMINATED)
        assert failed.uuid
        failure = (await framework.event_of(api.EventType.FAILURE)).failure
        assert failure is not None
        assert (failure.agent_id, failure.executor_id) == (offer.agent_id, ExecutorID(value="ex"))
        assert failure.status is not None and os.WIFSIGNALED(failure.status) and os.WTERMSIG(failure.status) == 9


async def test_an_executor_that_leaves_without_a_word(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.launch(await framework.offer(), "t", {"exit": 7})
        failed = await framework.status("t", TaskState.FAILED)
        assert failed.reason == Reason.EXECUTOR_TERMINATED
        failure = (await framework.event_of(api.EventType.FAILURE)).failure
        assert failure is not None and failure.status is not None
        assert os.waitstatus_to_exitcode(failure.status) == 7


async def test_an_executor_can_be_shut_down(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        await framework.call(api.shutdown(ExecutorID(value="ex"), offer.agent_id))
        await framework.status("t", TaskState.KILLED)
        failure = (await framework.event_of(api.EventType.FAILURE)).failure
        assert failure is not None and failure.executor_id == ExecutorID(value="ex")
        await is_gone(pid)


async def test_a_teardown_ends_everything(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        await framework.launch(await framework.offer(), "t", {"ignore_kill": True})
        pid = running_pid(await framework.status("t", TaskState.RUNNING))
        framework.keep()
        await framework.driver.teardown()

        async def is_completed() -> bool:
            answer = await operate(mesos, "GET_FRAMEWORKS")
            done = [f["framework_info"]["id"]["value"] for f in answer.get("completed_frameworks", [])]
            return framework.id.value in done

        await until(is_completed, "completed framework")
    await is_gone(pid)


async def test_what_asks_too_much_is_an_error(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t1", resources=[scalar("cpus", 1000), scalar("mem", 64)])
        refused = await framework.status("t1", TaskState.ERROR)
        assert (refused.source, refused.reason, refused.uuid) == (Source.MASTER, Reason.TASK_INVALID, b"")
        await framework.launch(offer, "t2")  # the offer was used
        dropped = await framework.status("t2", TaskState.DROPPED)
        assert (dropped.source, dropped.reason) == (Source.MASTER, Reason.INVALID_OFFERS)


async def test_of_two_tasks_only_the_bad_one_is_refused(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        good, bad = framework.task(offer, "good"), framework.task(offer, "bad", resources=[scalar("cpus", 1000)])
        await framework.operate(offer, launching(bad, good))
        await framework.status("bad", TaskState.ERROR)
        await framework.status("good", TaskState.RUNNING)


async def test_one_id_is_one_task(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        await framework.status("t", TaskState.RUNNING)
        await framework.launch(await framework.offer(), "t")
        refused = await framework.status("t", TaskState.ERROR)
        assert refused.reason == Reason.TASK_INVALID


async def test_offers_of_one_agent_can_be_used_together(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t1", resources=[scalar("cpus", 3), scalar("mem", 64)])
        await framework.status("t1", TaskState.RUNNING)
        await framework.wait_for(lambda: [o for o in framework.offers.values() if o.agent_id == offer.agent_id], "rest")
        await framework.call(api.kill(TaskID(value="t1"), offer.agent_id))

        def two() -> list[str]:
            mine = [o.id.value for o in framework.offers.values() if o.agent_id == offer.agent_id]
            return mine if len(mine) >= 2 else []

        ids = await framework.wait_for(two, "two offers of an agent")
        offers = [framework.offers.pop(value) for value in ids]
        task = framework.task(offers[0], "t2", resources=[scalar("cpus", 3.5), scalar("mem", 64)])
        await framework.call(api.accept([o.id for o in offers], [launching(task)], 0.0))
        await framework.status("t2", TaskState.RUNNING)


async def test_a_group_of_tasks_starts_together(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        tasks = [framework.task(offer, name) for name in ("g1", "g2")]
        bare = tuple(structs.replace(task, executor=None) for task in tasks)
        executor = framework.executor("gx", "*", more=[scalar("disk", 32)])  # one of a group needs some
        group = LaunchGroup(executor=executor, task_group=TaskGroupInfo(tasks=bare))
        await framework.operate(offer, Operation(type=OperationType.LAUNCH_GROUP, launch_group=group))
        for name in ("g1", "g2"):
            await framework.status(name, TaskState.RUNNING)


async def test_what_cannot_be_fetched_fails_the_task(mesos: Target, tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("plain")
    tmp_path.chmod(0o755)
    async with Framework(mesos) as framework:
        uris = [CommandURI(value=f"file://{tmp_path}/plain.txt", executable=True)]
        await framework.launch(await framework.offer(), "t1", executor_id="f1", uris=uris)
        sandbox = Path(os.fsdecode((await framework.status("t1", TaskState.RUNNING)).data))
        assert (sandbox / "plain.txt").read_text() == "plain"
        assert os.access(sandbox / "plain.txt", os.X_OK)
        uris = [CommandURI(value="file:///does/not/exist")]
        await framework.launch(await framework.offer(), "t2", executor_id="f2", uris=uris)
        failed = await framework.status("t2", TaskState.FAILED)
        assert (failed.source, failed.reason) == (Source.AGENT, Reason.CONTAINER_LAUNCH_FAILED)


async def test_resources_are_kept_by_role(mesos: Target) -> None:
    async with Framework(mesos, roles=["www"]) as framework:
        offer = await framework.offer()
        assert {r.allocation_info.role for r in offer.resources if r.allocation_info} == {"www"}
        task = framework.task(offer, "t")
        foreign = structs.replace(task, resources=allocated([scalar("cpus", 0.1)], "other"))
        await framework.operate(offer, launching(foreign))
        assert (await framework.status("t", TaskState.ERROR)).reason == Reason.TASK_INVALID


async def test_the_environment_of_an_executor(mesos: Target) -> None:
    async with Framework(mesos) as framework:
        offer = await framework.offer()
        await framework.launch(offer, "t")
        running = await framework.status("t", TaskState.RUNNING)
        environ = Path(f"/proc/{running_pid(running)}/environ").read_bytes().split(b"\0")
        found = dict(os.fsdecode(pair).split("=", 1) for pair in environ if b"=" in pair)
        assert found["FOO"] == "bar"
        assert found["MESOS_FRAMEWORK_ID"] == framework.id.value
        assert found["MESOS_EXECUTOR_ID"] == "ex"
        assert found["MESOS_AGENT_ENDPOINT"] == mesos.agent_url(number_of(offer)).removeprefix("http://")
        assert found["MESOS_CHECKPOINT"] == "1"
        assert found["MESOS_RECOVERY_TIMEOUT"] == "15mins"
        assert found["MESOS_SUBSCRIPTION_BACKOFF_MAX"] == "5secs"  # as long as the agent waits for it
        assert found["MESOS_HTTP_COMMAND_EXECUTOR"] == "0"
        assert Path(found["MESOS_DIRECTORY"]) == Path(os.fsdecode(running.data))
