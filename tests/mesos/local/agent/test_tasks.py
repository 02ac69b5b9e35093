"""Tasks of an agent: launched, updated, acknowledged, killed, ended with their executor."""

from __future__ import annotations

from itertools import pairwise

from msgspec import structs

from mesos.core.messages import (
    AgentID,
    CommandInfo,
    ContainerID,
    ContainerStatus,
    DurationInfo,
    Environment,
    ExecutorID,
    IPAddress,
    KillPolicy,
    NetworkInfo,
    Operation,
    Reservation,
    Resource,
    ResourcesOf,
    TaskID,
    Variable,
    scalar,
)
from mesos.local.core.agent_config import AgentOptions
from mesos.local.core.protocol import (
    AgentRegistered,
    ApplyOperation,
    DrainAgent,
    ExecutorExited,
    ExecutorMessage,
    MessageExecutor,
    OperationUpdate,
    ReactivateAgent,
    ReregisterAgent,
    ShutdownExecutor,
    ShutdownFramework,
    StatusUpdate,
)
from tests.mesos.local.agent.harness import (
    AGENT,
    FRAMEWORK,
    RESOURCES,
    Desk,
    executor_info,
    kinds,
    speaker,
    task_info,
)


def test_a_task_from_launch_to_its_end() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    [start] = desk.started
    assert start.directory.startswith("/agent0/slaves/m-S0/frameworks/m-0000/executors/ex/runs/")
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


def test_several_tasks_share_an_executor() -> None:
    desk = Desk().register().running()
    desk.run(task_info("t2"))
    assert kinds(desk.take_events()) == ["LAUNCH"]
    assert len(desk.started) == 1
    desk.update("t2", "TASK_FAILED")
    desk.exit(status=0)
    assert sorted((s.task_id.value, s.state) for s in desk.statuses()) == [("t1", "TASK_FAILED"), ("t2", "TASK_FAILED")]


def test_statuses_carry_what_the_agent_knows() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    container = ContainerID(value=desk.container())
    desk.perform(desk.agent.container_started(container, 4711, desk.now))
    desk.subscribe()
    bare = structs.replace(desk.status("t1", "TASK_RUNNING"), timestamp=None, executor_id=None)
    assert desk.call(speaker().update(bare)).status == 202
    [status] = desk.statuses()
    assert status.agent_id == AGENT
    assert status.timestamp == desk.now.wall
    assert status.executor_id is None
    shown = status.container_status
    assert shown is not None
    assert (shown.container_id, shown.executor_pid) == (container, 4711)
    assert shown.network_infos[0].ip_addresses[0].ip_address == "127.0.0.1"


def test_what_an_executor_knows_better_of_its_container_stays() -> None:
    desk = Desk().register().running()
    mine = ContainerStatus(network_infos=(NetworkInfo(ip_addresses=(IPAddress(ip_address="10.0.0.1"),)),))
    desk.call(speaker().update(structs.replace(desk.status("t1", "TASK_RUNNING"), container_status=mine)))
    [status] = desk.statuses()
    assert status.container_status is not None
    assert status.container_status.network_infos == mine.network_infos
    assert status.container_status.container_id is not None


def test_a_status_of_another_agent_is_dropped_without_a_word() -> None:
    desk = Desk().register().running()
    other = structs.replace(desk.status("t1", "TASK_RUNNING"), agent_id=AgentID(value="other"))
    assert desk.call(speaker().update(other)).status == 202
    assert desk.statuses() == []
    assert desk.take_events() == []


def test_the_same_status_again_is_acknowledged_and_goes_nowhere() -> None:
    desk = Desk().register().running()
    status = desk.update("t1", "TASK_RUNNING")
    desk.take(StatusUpdate)
    assert desk.call(speaker().update(status)).status == 202
    assert kinds(desk.take_events()) == ["ACKNOWLEDGED", "ACKNOWLEDGED"]
    assert desk.statuses() == []


def test_what_comes_after_the_end_is_acknowledged_and_goes_nowhere() -> None:
    desk = Desk().register().running()
    desk.update("t1", "TASK_FINISHED")
    [update] = desk.take(StatusUpdate)
    desk.update("t1", "TASK_FAILED")
    desk.update("t1", "TASK_RUNNING")
    assert kinds(desk.take_events()) == ["ACKNOWLEDGED"] * 3
    desk.acknowledge(update)
    assert desk.statuses() == []


def test_the_end_said_again_when_its_task_is_forgotten() -> None:
    """The acknowledgement got lost with the stream; the framework knows it already."""
    desk = Desk().register().running()
    status = desk.update("t1", "TASK_FINISHED")
    [update] = desk.take(StatusUpdate)
    desk.acknowledge(update)
    assert kinds(desk.subscribe(updates=[status])) == ["SUBSCRIBED", "ACKNOWLEDGED"]
    assert desk.statuses() == []


def test_a_task_that_nobody_has_is_told_to_the_framework_and_not_acknowledged() -> None:
    desk = Desk().register().running()
    desk.update("stranger", "TASK_RUNNING")
    [update] = desk.take(StatusUpdate)
    assert update.status.container_status is None
    assert desk.take_events() == []
    desk.acknowledge(update)
    assert desk.disk.streams is not None
    assert all(key[1] != "stranger" for key in desk.disk.streams)


def test_what_a_task_without_executor_said_outlives_the_last_executor() -> None:
    desk = Desk().register().running()
    desk.kill("stranger")
    [said] = desk.take(StatusUpdate)
    desk.exit()
    [end] = desk.take(StatusUpdate)
    desk.acknowledge(end)
    desk.advance(10.1)
    assert [s.uuid for s in desk.statuses()] == [said.status.uuid]
    desk.acknowledge(said)
    assert desk.disk.frameworks is None
    assert desk.disk.streams is None


def test_floods_are_bounded() -> None:
    desk = Desk(AgentOptions(max_pending_updates_per_task=5, max_strange_tasks=3, master_ping_timeout_s=None))
    desk.register().running()
    for _ in range(5):
        desk.update("t1", "TASK_RUNNING")
    full = desk.status("t1", "TASK_FINISHED")
    assert desk.call(speaker().update(full)).status == 503
    [update] = desk.take(StatusUpdate)
    desk.acknowledge(update)
    assert desk.call(speaker().update(full)).status == 202  # none is lost: it was refused, and comes again
    for name in ("s1", "s2", "s3"):
        desk.update(name, "TASK_RUNNING")
    assert desk.call(speaker().update(desk.status("s4", "TASK_RUNNING"))).status == 503
    for _ in range(300):
        for update in desk.take(StatusUpdate):
            desk.acknowledge(update)
    desk.update("s4", "TASK_RUNNING")


def test_statuses_that_a_task_keeps_are_bounded() -> None:
    desk = Desk().register().running()
    for number in range(300):
        desk.update("t1", ("TASK_STARTING", "TASK_RUNNING")[number % 2])
        for update in desk.take(StatusUpdate):
            desk.acknowledge(update)
    executor = desk.agent.executor("m-0000", "ex")
    assert executor is not None
    assert len(executor.launched["t1"].statuses) == 100


# --- groups -------------------------------------------------------------------------------------------------------


def test_a_group_waits_and_goes_as_one() -> None:
    desk = Desk().register()
    desk.run_group("g1", "g2")
    desk.run(task_info("t1"))
    events = desk.subscribe()
    assert kinds(events) == ["SUBSCRIBED", "LAUNCH_GROUP", "LAUNCH"]
    assert events[1].launch_group is not None
    assert [t.name for t in events[1].launch_group.task_group.tasks] == ["g1", "g2"]
    desk.run_group("g3", "g4")
    assert kinds(desk.take_events()) == ["LAUNCH_GROUP"]
    desk.update("g1", "TASK_RUNNING")
    assert [s.task_id.value for s in desk.statuses()] == ["g1"]


def test_a_group_that_waits_is_killed_as_one() -> None:
    desk = Desk().register()
    desk.run_group("g1", "g2")
    desk.run(task_info("t1"))
    desk.kill("g2")
    text = "A task within the task group was killed before delivery to the executor"
    assert sorted((s.task_id.value, s.state, s.message) for s in desk.statuses()) == [
        ("g1", "TASK_KILLED", text), ("g2", "TASK_KILLED", text),
    ]  # fmt: skip
    assert kinds(desk.subscribe()) == ["SUBSCRIBED", "LAUNCH"]


# --- executors that end, or don't ---------------------------------------------------------------------------------


def test_an_executor_that_does_not_come() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.advance(59.9)
    assert desk.killed == []
    desk.advance(0.2)
    assert desk.killed == [desk.container()]
    desk.exit(status=9)
    [status] = desk.statuses()
    assert (status.state, status.reason) == ("TASK_FAILED", "REASON_EXECUTOR_REGISTRATION_TIMEOUT")
    assert status.message == "Executor did not register within 1mins"


def test_a_container_that_could_not_be_made() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    container = ContainerID(value=desk.container())
    desk.perform(desk.agent.container_failed(container, "no luck", desk.now))
    [exited] = desk.take(ExecutorExited)
    assert exited.status == 256
    [status] = desk.statuses()
    assert (status.state, status.reason) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert status.message == "Failed to launch container: no luck"


def test_shutdown_and_its_grace() -> None:
    desk = Desk().register().running()
    desk.say(ShutdownExecutor(framework_id=FRAMEWORK, executor_id=ExecutorID(value="ex")))
    assert kinds(desk.take_events()) == ["SHUTDOWN"]
    desk.update("t1", "TASK_KILLED")  # it may still speak
    assert [s.state for s in desk.statuses()] == ["TASK_KILLED"]
    desk.advance(4.9)
    assert desk.killed == []
    desk.advance(0.2)
    assert desk.killed == [desk.container()]


def test_an_executors_environment_is_its_commands_and_mesos_own() -> None:
    """A secret has no value that could be shown, and nobody can pretend to be another executor."""
    variables = (
        Variable(name="MINE", value="1"),
        Variable(name="HIDDEN", type="SECRET"),
        Variable(name="MESOS_EXECUTOR_ID", value="another"),
        Variable(name="PATH", value="/mine"),
    )
    command = CommandInfo(value="sleep 1000", environment=Environment(variables=variables))
    desk = Desk().register()
    desk.run(structs.replace(task_info("t1"), executor=structs.replace(executor_info(), command=command)))
    environment = desk.started[0].environment
    others = {name for name in environment if not name.startswith(("MESOS_", "LIBPROCESS_"))}
    assert (others, environment["MINE"], environment["PATH"]) == ({"MINE", "PATH"}, "1", "/mine")
    assert environment["MESOS_EXECUTOR_ID"] == "ex"


def test_the_executors_own_grace() -> None:
    desk = Desk().register()
    grace = DurationInfo(nanoseconds=60 * 10**9)
    info = structs.replace(executor_info(), shutdown_grace_period=grace)
    desk.run(structs.replace(task_info("t1"), executor=info))
    assert desk.started[0].environment["MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"] == "1mins"
    desk.subscribe()
    desk.say(ShutdownExecutor(framework_id=FRAMEWORK, executor_id=ExecutorID(value="ex")))
    desk.advance(59)
    assert desk.killed == []
    desk.advance(2)
    assert len(desk.killed) == 1


def test_a_launch_on_an_executor_that_is_ending() -> None:
    desk = Desk().register().running()
    desk.say(ShutdownExecutor(framework_id=FRAMEWORK, executor_id=ExecutorID(value="ex")))
    desk.run(task_info("t2"))
    [status] = desk.statuses()
    assert (status.state, status.reason, status.message) == (
        "TASK_DROPPED", "REASON_EXECUTOR_TERMINATED", "Executor terminating",
    )  # fmt: skip
    assert desk.take(ExecutorExited) == []


def test_a_launch_on_an_executor_whose_end_is_not_acknowledged() -> None:
    desk = Desk().register().running()
    desk.exit(status=9)
    [end] = desk.take(StatusUpdate)
    desk.take(ExecutorExited)
    desk.run(task_info("t2"))
    [status] = desk.statuses()
    assert (status.state, status.message) == ("TASK_DROPPED", "Master wants to launch executor, but one already exists")
    [exited] = desk.take(ExecutorExited)
    assert exited.status == -1
    desk.acknowledge(end)
    desk.run(task_info("t3"))
    assert len(desk.started) == 2  # the next one is a new run
    assert desk.started[0].directory != desk.started[1].directory


def test_who_subscribes_when_it_is_over_is_sent_away() -> None:
    desk = Desk().register().running()
    desk.say(ShutdownExecutor(framework_id=FRAMEWORK, executor_id=ExecutorID(value="ex")))
    assert kinds(desk.subscribe()) == ["SHUTDOWN"]
    assert desk.closed == [desk.container()]


def test_shutdown_of_a_framework() -> None:
    desk = Desk().register().running()
    desk.run(task_info("t2", "other"))
    desk.say(ShutdownFramework(framework_id=FRAMEWORK))
    assert kinds(desk.take_events()) == ["SHUTDOWN"]
    desk.update("t1", "TASK_KILLED")  # nobody would acknowledge it
    desk.run(task_info("t3"))
    desk.kill("t1")
    assert desk.statuses() == []
    assert kinds(desk.subscribe("other")) == ["SHUTDOWN"]
    desk.exit()
    desk.exit("other")
    assert desk.statuses() == []
    assert desk.disk.frameworks is None
    assert desk.disk.streams is None
    [framework] = desk.disk.completed_frameworks or []
    assert len(framework.completed_executors or ()) == 2


def test_shutdown_of_a_framework_whose_executors_have_ended() -> None:
    desk = Desk().register().running()
    desk.exit()
    desk.say(ShutdownFramework(framework_id=FRAMEWORK))
    assert desk.disk.frameworks is None
    assert desk.disk.streams is None
    assert len(desk.agent.deadlines) <= 1


def test_messages_both_ways() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    there = MessageExecutor(framework_id=FRAMEWORK, executor_id=ExecutorID(value="ex"), data=b"hello")
    desk.say(there)  # it does not listen yet
    assert kinds(desk.subscribe()) == ["SUBSCRIBED", "LAUNCH"]
    desk.say(there)
    [event] = desk.take_events()
    assert event.message is not None
    assert event.message.data == b"hello"
    assert desk.call(speaker().message(b"back")).status == 202
    [message] = desk.take(ExecutorMessage)
    assert (message.data, message.executor_id.value) == (b"back", "ex")


def test_executors_hear_heartbeats_every_half_hour() -> None:
    desk = Desk().register().running()
    desk.advance(1799)
    assert desk.take_events() == []
    desk.advance(2)
    assert kinds(desk.take_events()) == ["HEARTBEAT"]
    desk.advance(1800)
    assert kinds(desk.take_events()) == ["HEARTBEAT"]


# --- drain --------------------------------------------------------------------------------------------------------


def test_a_drain_kills_all_and_lets_nothing_in() -> None:
    desk = Desk().register()
    short, long = (KillPolicy(grace_period=DurationInfo(nanoseconds=n)) for n in (10**9, 90 * 10**9))
    desk.run(task_info("t1", policy=short))
    desk.run(task_info("t2", policy=long))
    desk.run(task_info("t3"))
    desk.subscribe()
    desk.run(task_info("t4", "other"))
    limit = DurationInfo(nanoseconds=2 * 10**9)
    desk.say(DrainAgent(max_grace_period=limit))
    kills = [event.kill for event in desk.take_events() if event.kill is not None]
    assert [(k.task_id.value, k.kill_policy) for k in kills] == [
        ("t1", None), ("t2", KillPolicy(grace_period=limit)), ("t3", KillPolicy(grace_period=limit)),
    ]  # fmt: skip
    [status] = desk.statuses()
    assert (status.task_id.value, status.state, status.reason) == ("t4", "TASK_KILLED", "REASON_AGENT_DRAINING")
    desk.run(task_info("t5", "new"))
    [status] = desk.statuses()
    assert (status.state, status.reason) == ("TASK_DROPPED", "REASON_AGENT_DRAINING")
    assert status.message == "Task was received while agent was already draining"
    desk.update("t1", "TASK_KILLED")
    assert [s.reason for s in desk.statuses()] == ["REASON_AGENT_DRAINING"]
    desk.say(ReactivateAgent())  # a real agent goes on, too, while executors are left
    desk.run(task_info("t6", "new"))
    assert [s.reason for s in desk.statuses()] == ["REASON_AGENT_DRAINING"]


def test_a_drained_agent_takes_tasks_when_its_executors_are_gone() -> None:
    desk = Desk().register().running()
    desk.say(DrainAgent(mark_gone=True))
    desk.update("t1", "TASK_KILLED")
    [update] = desk.take(StatusUpdate)
    assert update.status.state == "TASK_GONE_BY_OPERATOR"
    desk.acknowledge(update)
    desk.exit()
    desk.say(ReactivateAgent())
    desk.run(task_info("t2"))
    assert len(desk.started) == 2


# --- operations ---------------------------------------------------------------------------------------------------


def operation(uuid: bytes, kind: str, resources: tuple[Resource, ...]) -> ApplyOperation:
    operand = {"reserve": ResourcesOf(resources=resources)} if kind == "RESERVE" else {}
    operand |= {"unreserve": ResourcesOf(resources=resources)} if kind == "UNRESERVE" else {}
    return ApplyOperation(operation_uuid=uuid, operation=Operation(type=kind, **operand), framework_id=FRAMEWORK)


def test_reservations_change_what_an_agent_has() -> None:
    desk = Desk().register()
    reserved = structs.replace(scalar("cpus", 1), reservations=(Reservation(type="DYNAMIC", role="web"),))
    desk.say(operation(b"1", "RESERVE", (reserved,)))
    desk.say(operation(b"1", "RESERVE", (reserved,)))  # asked twice, done once
    done = desk.take(OperationUpdate)
    assert [update.status.state for update in done] == ["OPERATION_FINISHED"] * 2
    assert {r.reservations: r.scalar.value for r in done[-1].total if r.name == "cpus" and r.scalar} == {
        (): 3.0, reserved.reservations: 1.0,
    }  # fmt: skip
    desk.kill_9().start()  # it is on disk
    desk.perform(desk.agent.connected(desk.now))
    desk.advance(1.1)
    [message] = desk.take(ReregisterAgent)
    assert message.total == done[-1].total
    assert message.info.resources == RESOURCES
    desk.say(AgentRegistered(agent_id=AGENT))
    desk.say(operation(b"2", "UNRESERVE", (reserved,)))
    [update] = desk.take(OperationUpdate)
    assert sum(r.scalar.value for r in update.total if r.name == "cpus" and r.scalar) == 4.0
    desk.say(operation(b"3", "UNRESERVE", (reserved,)))
    [update] = desk.take(OperationUpdate)
    assert update.status.state == "OPERATION_FAILED"
    desk.say(operation(b"4", "GROW_VOLUME", ()))
    [update] = desk.take(OperationUpdate)
    assert update.status.state == "OPERATION_FAILED"
