"""Tasks of an agent: launched, updated, acknowledged, killed, ended with their executor."""

from __future__ import annotations

from itertools import pairwise

from mesos.core.messages import TaskID
from mesos.local.core.protocol import ExecutorExited, StatusUpdate
from tests.mesos.local.agent.harness import Desk, kinds, task_info


def test_a_task_from_launch_to_its_end() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    [start] = desk.started
    assert start.directory.startswith("/work/slaves/m-S0/frameworks/m-0000/executors/ex/runs/")
    assert start.environment["MESOS_EXECUTOR_ID"] == "ex"
    assert kinds(desk.subscribe()) == ["SUBSCRIBED", "LAUNCH"]
    running = desk.update("t1", "TASK_RUNNING")
    assert kinds(desk.take_events()) == ["ACKNOWLEDGED"]
    [update] = desk.take(StatusUpdate)
    assert update.status.uuid == running.uuid
    assert update.latest_state == "TASK_RUNNING"
    assert update.status.container_status is not None
    desk.update("t1", "TASK_FINISHED")
    assert desk.take(StatusUpdate) == []  # one at a time
    desk.acknowledge(update)
    [update] = desk.take(StatusUpdate)
    assert update.status.state == "TASK_FINISHED"
    desk.acknowledge(update)
    desk.advance(1000)
    assert desk.take(StatusUpdate) == []
    desk.exit(status=0)
    [exited] = desk.take(ExecutorExited)
    assert exited.status == 0
    assert desk.take(StatusUpdate) == []
    assert desk.disk.frameworks is None
    assert desk.disk.streams is None


def test_an_update_is_said_again_until_it_is_acknowledged() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.subscribe()
    desk.update("t1", "TASK_RUNNING")
    times = []
    for _ in range(1300 * 2):
        times += [desk.now.mono for _ in desk.take(StatusUpdate)]
        desk.advance(1)
    gaps = [b - a for a, b in pairwise(times)]
    assert [round(gap) for gap in gaps[:7]] == [10, 20, 40, 80, 160, 320, 600]


def test_tasks_of_an_executor_that_ends() -> None:
    desk = Desk().register().running()
    desk.exit(status=9)
    [update] = desk.take(StatusUpdate)
    status = update.status
    assert (status.state, status.reason, status.message) == (
        "TASK_FAILED", "REASON_EXECUTOR_TERMINATED", "Executor terminated",
    )  # fmt: skip
    assert status.source == "SOURCE_AGENT"
    assert status.container_status is None
    desk.acknowledge(update)
    assert desk.disk.frameworks is None


def test_killed_before_its_executor_came() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.kill("t1")
    [update] = desk.take(StatusUpdate)
    assert (update.status.state, update.status.message) == ("TASK_KILLED", "Killed before delivery to the executor")
    assert update.status.reason == "REASON_TASK_KILLED_DURING_LAUNCH"
    desk.acknowledge(update)
    assert kinds(desk.subscribe()) == ["SHUTDOWN"]
    desk.advance(5.1)
    assert desk.killed == [desk.container()]


def test_a_kill_of_an_unknown_task() -> None:
    desk = Desk().register().running()
    desk.kill("nobody")
    [update] = desk.take(StatusUpdate)
    assert (update.status.state, update.status.task_id) == ("TASK_DROPPED", TaskID(value="nobody"))
