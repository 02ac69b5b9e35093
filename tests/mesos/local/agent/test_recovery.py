"""An agent's restart: what comes back, what is killed, what is refused."""

from __future__ import annotations

import itertools

import pytest
from msgspec import structs

from mesos.core.messages import AgentID, ContainerID, FrameworkID, TaskID, text_attribute
from mesos.local.core.agent import Agent
from mesos.local.core.agent_config import AgentConfig
from mesos.local.core.agent_states import AgentPhase
from mesos.local.core.protocol import (
    AgentRegistered,
    ExecutorExited,
    Ping,
    Pong,
    RegisterAgent,
    ReregisterAgent,
    ShutdownAgent,
    StatusUpdate,
    TaskOf,
    UnregisterAgent,
)
from tests.mesos.local.agent.harness import (
    AGENT,
    FRAMEWORK,
    Desk,
    agent_info,
    framework_info,
    kinds,
    speaker,
    task_info,
)


def restarted(desk: Desk) -> Desk:
    """The agent is up again, linked, and waits for its executors."""
    desk.kill_9().start()
    desk.perform(desk.agent.connected(desk.now))
    return desk


def test_an_agent_without_tasks_comes_back_at_once() -> None:
    desk = Desk().register()
    restarted(desk)
    assert desk.agent.phase is AgentPhase.DISCONNECTED
    desk.advance(1.1)
    [message] = desk.take(ReregisterAgent)
    assert message.info.id == AGENT
    assert message.tasks == message.executors == message.frameworks == ()


def test_executors_come_back_with_their_updates() -> None:
    desk = Desk().register().running()
    lost = desk.status("t1", "TASK_FINISHED")  # said when no agent listened
    restarted(desk)
    assert desk.agent.phase is AgentPhase.RECOVERING
    assert desk.call(speaker().update(lost)).status == 503
    desk.advance(1)
    events = desk.subscribe(tasks=[task_info("t1")], updates=[lost])
    assert kinds(events) == ["SUBSCRIBED", "ACKNOWLEDGED"]
    assert desk.seen == []  # the master hears nothing before the time is over
    desk.advance(2.1)
    [message] = desk.take(ReregisterAgent)
    assert [(t.task_id.value, t.state) for t in message.tasks] == [("t1", "TASK_FINISHED")]
    assert [e.executor_id.value for e in message.executors] == ["ex"]
    assert desk.take(StatusUpdate) == []
    desk.connect()
    [update] = desk.take(StatusUpdate)
    assert update.status.uuid == lost.uuid
    desk.acknowledge(update)
    assert desk.killed == []


def test_executors_that_stay_away_are_killed() -> None:
    desk = Desk().register().running()
    restarted(desk)
    desk.advance(1.9)
    assert desk.killed == []
    desk.advance(0.2)
    assert desk.killed == [desk.container()]
    desk.connect()
    desk.exit(status=9)
    [update] = desk.take(StatusUpdate)
    status = update.status
    assert (status.state, status.reason) == ("TASK_GONE", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT")
    assert status.message == "Executor did not reregister within 2secs"


def test_a_framework_that_does_not_know_gone_hears_lost() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"), framework_info(aware=False))
    desk.subscribe()
    restarted(desk)
    desk.advance(2.1)
    desk.connect()
    desk.exit(status=9)
    assert [s.state for s in desk.statuses()] == ["TASK_LOST"]


def test_executors_that_died_meanwhile() -> None:
    desk = Desk().register().running()
    desk.alive.clear()
    restarted(desk)
    desk.advance(2.1)
    desk.connect()
    [update] = desk.take(StatusUpdate)
    assert (update.status.state, update.status.message) == ("TASK_FAILED", "Executor terminated")
    assert desk.take(ExecutorExited) == []  # there was no master to tell
    desk.acknowledge(update)
    assert desk.disk.frameworks is None


def test_a_task_that_never_reached_its_executor_is_dropped() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))  # queued, and then the agent dies
    restarted(desk)
    assert kinds(desk.subscribe()) == ["SUBSCRIBED"]
    desk.advance(2.1)
    desk.connect()
    [update] = desk.take(StatusUpdate)
    status = update.status
    assert (status.state, status.reason) == ("TASK_DROPPED", "REASON_AGENT_RESTARTED")
    assert status.message == "Task launched during agent restart"


def test_a_task_that_reached_it_is_not() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.subscribe()
    restarted(desk)
    assert kinds(desk.subscribe(tasks=[task_info("t1")])) == ["SUBSCRIBED"]
    desk.advance(2.1)
    desk.connect()
    assert desk.take(StatusUpdate) == []
    desk.update("t1", "TASK_RUNNING")
    assert [s.state for s in desk.statuses()] == ["TASK_RUNNING"]


def test_executors_of_frameworks_that_do_not_checkpoint_are_killed() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"), framework_info(checkpoint=False))
    desk.subscribe()
    desk.update("t1", "TASK_RUNNING")
    desk.take(StatusUpdate)
    restarted(desk)
    assert desk.killed == [desk.container()]
    assert desk.agent.phase is AgentPhase.DISCONNECTED
    desk.exit(status=9)
    desk.connect()
    assert desk.take(StatusUpdate) == []
    assert desk.disk.frameworks is None
    assert desk.disk.streams is None
    assert desk.call(speaker().subscribe((), ())).text == "Framework cannot be found"


def test_containers_that_nobody_knows_are_killed() -> None:
    desk = Desk().register().running()
    desk.alive.add("orphan")
    restarted(desk)
    assert desk.killed == ["orphan"]
    desk.perform(desk.agent.container_exited(ContainerID(value="orphan"), 9, desk.now))
    assert desk.take(ExecutorExited) == []


def test_updates_that_wait_go_on_in_order() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.subscribe()
    sent = [desk.update("t1", state) for state in ("TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED")]
    desk.take(StatusUpdate)
    for status in sent:
        restarted(desk)
        desk.subscribe(updates=sent)  # acknowledgements to the executor got lost, too
        desk.advance(2.1)
        desk.connect()
        updates = desk.take(StatusUpdate)
        assert [u.status.uuid for u in updates] == [status.uuid]
        assert updates[0].latest_state == "TASK_FINISHED"
        desk.acknowledge(updates[0])
        desk.take(StatusUpdate)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"attributes": (text_attribute("rack", "b"),)}, "attributes changed"),
        ({"attributes": ()}, "attributes changed"),
        ({"resources": ()}, "resources changed"),
        ({"hostname": "other"}, "hostname changed"),
        ({"port": 1}, "port changed"),
    ],
)
def test_an_agent_that_is_another_one_may_not_come_back(change: dict[str, object], words: str) -> None:
    desk = Desk().register()
    desk.config = AgentConfig(info=agent_info(**change), work_dir="/agent0", options=desk.options)
    desk.kill_9()
    desk.start()
    [reason] = desk.ended
    assert "Incompatible agent info detected" in reason
    assert words in reason
    desk.perform(desk.agent.connected(desk.now))
    desk.advance(100)
    assert desk.seen == []
    desk.disk.forget()
    desk.kill_9().start()
    desk.perform(desk.agent.connected(desk.now))
    desk.advance(1.1)
    assert len(desk.take(RegisterAgent)) == 1


def test_the_same_attributes_in_another_order_are_the_same() -> None:
    one, two = text_attribute("a", "1"), text_attribute("b", "2")
    desk = Desk(attributes=(one, two)).register()
    desk.config = AgentConfig(info=agent_info(attributes=(two, one)), work_dir="/agent0", options=desk.options)
    desk.kill_9().start()
    assert desk.ended == []


# --- registration -------------------------------------------------------------------------------------------------


def test_registration_is_said_ever_more_seldom() -> None:
    desk = Desk().start()
    desk.perform(desk.agent.connected(desk.now))
    times = []
    for _ in range(3000):
        times += [desk.now.mono for _ in desk.take(RegisterAgent)]
        desk.advance(0.1)
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert times[0] <= 1001.1
    assert all(gap <= 60.2 for gap in gaps)
    assert gaps[0] < 4.2
    assert gaps[-1] > 25
    assert len(times) < 20


def test_a_lost_link_stops_everything_until_there_is_another() -> None:
    desk = Desk().register()
    desk.run(task_info("t1"))
    desk.subscribe()
    desk.update("t1", "TASK_RUNNING")
    desk.take(StatusUpdate)
    desk.perform(desk.agent.link_broken(desk.now))
    desk.update("t1", "TASK_FINISHED")
    desk.advance(1000)
    assert desk.seen == []
    assert kinds(desk.take_events())[-2:] == ["ACKNOWLEDGED", "ACKNOWLEDGED"]  # executors do not notice
    desk.connect()
    [update] = desk.take(StatusUpdate)
    assert (update.status.state, update.latest_state) == ("TASK_RUNNING", "TASK_FINISHED")


def test_a_master_that_does_not_know_the_agent_gets_it_anew() -> None:
    desk = Desk().register()
    desk.say(Ping(connected=True))
    assert len(desk.take(Pong)) == 1
    desk.say(Ping(connected=False))
    desk.advance(1.1)
    assert len(desk.take(ReregisterAgent)) == 1


def test_a_master_that_is_silent_is_given_up() -> None:
    desk = Desk(options=None)
    desk.options = desk.options.__class__(master_ping_timeout_s=75.0)
    desk.config = AgentConfig(info=agent_info(), work_dir="/agent0", options=desk.options)
    desk.agent = Agent(desk.config, desk.disk)
    desk.register()
    for _ in range(10):
        desk.advance(60)
        desk.say(Ping())
    assert desk.take(ReregisterAgent) == []
    desk.advance(74)
    assert desk.agent.phase is AgentPhase.RUNNING
    desk.advance(3)
    assert desk.agent.phase is AgentPhase.DISCONNECTED
    assert desk.take(ReregisterAgent)


# --- the end ------------------------------------------------------------------------------------------------------


def test_shut_down_by_a_signal_it_says_good_bye() -> None:
    desk = Desk().register().running()
    desk.perform(desk.agent.shutdown("Received SIGUSR1 signal from user", desk.now))
    assert [m.agent_id for m in desk.take(UnregisterAgent)] == [AGENT]
    assert kinds(desk.take_events()) == ["SHUTDOWN"]
    assert desk.ended == []
    desk.advance(5.1)
    assert desk.killed == [desk.container()]
    desk.exit(status=9)
    assert desk.ended == ["shut down"]
    assert desk.disk.agent_id is None  # the next one is new


def test_shut_down_by_the_master_without_tasks() -> None:
    desk = Desk().register()
    desk.say(ShutdownAgent(message="gone"))
    assert desk.ended == ["shut down"]


def test_shut_down_before_it_ever_registered() -> None:
    desk = Desk().start()
    desk.perform(desk.agent.shutdown("", desk.now))
    assert desk.ended == ["shut down"]
    assert desk.seen == []


def test_orders_to_an_agent_that_is_nobody_yet_are_ignored() -> None:
    desk = Desk().start()
    desk.perform(desk.agent.connected(desk.now))
    desk.run(task_info("t1"))
    desk.kill("t1")
    assert desk.started == []
    assert [m for m in desk.seen if not isinstance(m, RegisterAgent)] == []


def test_orders_to_an_agent_that_looks_for_its_executors_are_ignored() -> None:
    desk = Desk().register().running()
    restarted(desk)
    desk.run(task_info("t2"))
    desk.say(Ping(connected=False))
    assert desk.disk.frameworks is not None
    assert not desk.disk.frameworks["m-0000"].executors["ex"].has_task("t2")
    assert [type(m) for m in desk.seen] == [Pong]
    assert TaskID(value="t1") == desk.disk.frameworks["m-0000"].executors["ex"].launched["t1"].task_id


def test_tasks_that_the_master_knows_and_the_agent_does_not() -> None:
    desk = Desk().register().running()
    here = TaskOf(framework_id=FRAMEWORK, task_id=TaskID(value="t1"), state="TASK_DROPPED")
    lost = TaskOf(framework_id=FRAMEWORK, task_id=TaskID(value="t2"), state="TASK_DROPPED")
    other = TaskOf(framework_id=FrameworkID(value="x"), task_id=TaskID(value="t3"), state="TASK_LOST")
    desk.perform(desk.agent.link_broken(desk.now))
    desk.perform(desk.agent.connected(desk.now))
    desk.say(AgentRegistered(agent_id=AGENT, reconcile=(here, lost, other)))
    updates = desk.take(StatusUpdate)
    assert [(u.status.task_id.value, u.status.state) for u in updates] == [("t2", "TASK_DROPPED"), ("t3", "TASK_LOST")]
    assert {u.status.message for u in updates} == {"Reconciliation: task unknown to the agent"}
    for update in updates:
        desk.acknowledge(update)
    assert set(desk.disk.streams or {}) == {("m-0000", "t1")}


def test_repeated_updates_are_completed_and_bad_ones_are_not_taken() -> None:
    desk = Desk().register().running()
    bare = structs.replace(desk.status("t1", "TASK_FINISHED"), timestamp=None)
    bad = [
        structs.replace(desk.status("t1", "TASK_FAILED"), uuid=b""),
        structs.replace(desk.status("t1", "TASK_FAILED"), source="SOURCE_MASTER"),
        structs.replace(desk.status("t1", "TASK_FAILED"), agent_id=AgentID(value="other")),
    ]
    assert kinds(desk.subscribe(updates=[*bad, bare])) == ["SUBSCRIBED", "ACKNOWLEDGED"]
    [status] = desk.statuses()
    assert (status.state, status.agent_id, status.timestamp) == ("TASK_FINISHED", AGENT, desk.now.wall)


def test_an_executor_that_speaks_of_anothers_task() -> None:
    desk = Desk().register().running().running("t2", "other")
    desk.update("t1", "TASK_RUNNING", "other")
    assert kinds(desk.take_events("other")) == ["ACKNOWLEDGED"]
    assert desk.take_events() == []
    assert [s.task_id.value for s in desk.statuses()] == ["t1"]
