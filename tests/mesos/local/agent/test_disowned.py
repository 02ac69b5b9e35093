"""Tasks that a master asks for and the agent does not know: said to be dropped, also when the launch arrives late."""

from __future__ import annotations

from mesos.core.messages import FrameworkID, TaskID
from mesos.local.core.agent_tasks import MAX_DISOWNED
from mesos.local.core.protocol import AgentRegistered, StatusUpdate, TaskOf

from .harness import AGENT, FRAMEWORK, Desk, task_info


def asked(*names: str, framework: FrameworkID = FRAMEWORK, state: str = "TASK_DROPPED") -> AgentRegistered:
    tasks = tuple(TaskOf(framework_id=framework, task_id=TaskID(value=name), state=state) for name in names)
    return AgentRegistered(agent_id=AGENT, reconcile=tasks)


def test_what_it_does_not_know_is_dropped() -> None:
    desk = Desk().register().running("t1")
    desk.take(StatusUpdate)
    desk.say(asked("t1", "t2"))
    desk.say(asked("t3", framework=FrameworkID(value="another"), state="TASK_LOST"))
    updates = desk.take(StatusUpdate)
    assert [(u.framework_id, u.status.task_id.value, u.status.state) for u in updates] == [
        (FRAMEWORK, "t2", "TASK_DROPPED"),
        (FrameworkID(value="another"), "t3", "TASK_LOST"),
    ]
    assert {(u.status.source, u.status.reason) for u in updates} == {("SOURCE_AGENT", "REASON_RECONCILIATION")}
    desk.say(asked("t2"))
    assert desk.take(StatusUpdate) == [], "it is under way already"


def test_a_launch_that_arrives_after_all_is_too_late() -> None:
    desk = Desk().register()
    desk.say(asked("t1"))
    [update] = desk.take(StatusUpdate)
    desk.acknowledge(update)
    desk.run(task_info("t1"))
    [again] = desk.take(StatusUpdate)
    assert (again.status.task_id.value, again.status.state) == ("t1", "TASK_DROPPED")
    assert desk.started == [] and not desk.disk.frameworks
    desk.acknowledge(again)
    desk.run(task_info("t1"))
    assert len(desk.started) == 1, "the name may be used anew"


def test_only_so_many_are_remembered() -> None:
    desk = Desk().register()
    desk.say(asked(*(f"t{number}" for number in range(MAX_DISOWNED + 10))))
    assert desk.agent.disowned is not None and len(desk.agent.disowned) == MAX_DISOWNED
