"""The executor's rim on a virtual clock: what it hears becomes statuses, orders and an end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from executor.core.lifecycle import DURING_INITIALIZATION, Waits
from executor.executor import ASKED_TO_END, ASKED_TO_KILL
from executor.machinery import Said
from mesos.core.executor_session import Phase as AgentPhase
from mesos.core.messages import AgentID, DurationInfo, KillPolicy, TaskGroupInfo, TaskID, TaskInfo, TaskState
from tests.executor.fakes import FakeChecks, FakeMachinery, Stage
from tests.executor.payloads import assigned_json
from thermos.core.states import TaskState as HostState
from thermos.errors import ConfigError, HostError, UserError

S = TaskState


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_hello_world(stage: Stage) -> None:
    stage.launch()
    assert stage.said == [(S.STARTING, "")]
    stage.healthy()
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.settle()
    assert stage.said == [(S.STARTING, ""), (S.RUNNING, "Task is healthy."), (S.FINISHED, "Task finished.")]
    assert stage.checks.stopped == 1
    stage.loop.turn()
    assert stage.driver.stopped and stage.loop.stopped


def test_an_idle_executor_ends(stage: Stage) -> None:
    stage.loop.advance(9.9)
    assert not stage.loop.stopped
    stage.loop.advance(0.2)
    assert stage.loop.stopped and not stage.said


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\1\2 thrift?", b"{", b"[]", b"7", b"{}", b'{"taskId": "t1"}', b'{"taskId": 7, "task": {}}',
        b'{"taskId": "t1", "task": {"job": {"role": "www"}}}', b'{"taskId": "\xff"}', b"[" * 100_000,
        assigned_json("../../t1"), assigned_json(""), b'{"x": ' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_cannot_be_read_fails_at_once(stage: Stage, data: bytes) -> None:
    stage.launch(data=data)
    ((state, words),) = stage.said
    assert state is S.FAILED and words.startswith("Could not deserialize task.") and "\n" not in words
    stage.loop.advance(1)
    assert stage.loop.stopped and not stage.machinery.owned


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("Task did not have a thermos config!"), "Task did not have a thermos config!"),
        (ConfigError("Got invalid task: one\ntwo"), "Got invalid task: one; two"),
        (UserError("cannot announce at '/x': no"), "cannot announce at '/x': no"),
    ],
)
def test_a_job_that_cannot_run_starts_and_fails(tmp_path: Path, error: Exception, words: str) -> None:
    stage = Stage(tmp_path, FakeMachinery(prepare_error=error))
    stage.launch()
    assert stage.said == [(S.STARTING, ""), (S.FAILED, words)]
    assert not stage.machinery.owned


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (HostError("no such user"), "Failed to initialize sandbox: no such user"),
        (OSError(28, "No space left on device"), "Failed to initialize sandbox: [Errno 28] No space left on device"),
        (ZeroDivisionError("oops"), "Unknown exception initializing sandbox: oops"),
    ],
)
def test_sandboxes_that_cannot_be_made(tmp_path: Path, error: Exception, words: str) -> None:
    stage = Stage(tmp_path, FakeMachinery(prepare_error=error))
    stage.launch()
    assert stage.said[-1] == (S.FAILED, words)


def test_a_sandbox_that_takes_too_long(stage: Stage) -> None:
    stage.workers.hold = True
    stage.launch()
    stage.loop.advance(600)
    assert stage.said[-1] == (S.FAILED, "Timed out waiting for sandbox to initialize!")
    stage.workers.release()
    stage.loop.advance(10)
    assert not stage.machinery.owned and stage.loop.stopped


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (HostError("cannot lock: read-only"), "Task initialization failed: cannot lock: read-only"),
        (OSError(28, "No space left on device"), "Task initialization failed: [Errno 28] No space left on device"),
        (ZeroDivisionError("oops"), "Unknown exception starting runner: oops"),
    ],
)
def test_a_task_that_cannot_be_begun(tmp_path: Path, error: Exception, words: str) -> None:
    stage = Stage(tmp_path, FakeMachinery(own_error=error))
    stage.launch()
    assert stage.said == [(S.STARTING, ""), (S.FAILED, words)]
    stage.loop.advance(1)
    assert stage.loop.stopped


@pytest.mark.parametrize("when", ["made", "started"])
def test_checks_that_cannot_begin_end_the_task(stage: Stage, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    if when == "made":
        monkeypatch.setattr(stage.machinery, "checks", broken)
    else:
        monkeypatch.setattr(FakeChecks, "start", broken)
    stage.launch()
    stage.loop.advance(1)
    assert stage.said == [(S.STARTING, ""), (S.FAILED, "Internal error: ZeroDivisionError('oops')")]
    assert stage.runner.orders == ["kill"] and stage.loop.stopped


def test_a_second_launch_is_lost(stage: Stage) -> None:
    stage.launch("t1")
    stage.launch("t2")
    status = stage.driver.said[-1]
    assert (status.task_id, status.state) == (TaskID(value="t2"), S.LOST)
    assert status.message == "Task already running on this executor: t1"
    stage.launch("t1")  # said again by the agent
    assert len(stage.driver.said) == 2


def test_a_kill_before_the_sandbox_is_ready_starts_nothing(stage: Stage) -> None:
    stage.workers.hold = True
    stage.launch()
    stage.kill()
    stage.workers.release()
    stage.loop.advance(10)
    assert stage.said == [(S.STARTING, ""), (S.KILLED, DURING_INITIALIZATION)]
    assert not stage.machinery.owned


def test_killing_twice_says_it_once_and_strangers_are_ignored(stage: Stage) -> None:
    stage.launch()
    stage.kill("somebody else")
    assert not stage.runner.orders
    stage.runner.obeys = False
    stage.kill()
    stage.kill()
    stage.runner.end(HostState.KILLED)
    stage.loop.turn()
    assert stage.said[1:] == [(S.KILLED, ASKED_TO_KILL)]
    assert stage.runner.orders == ["kill"]


def test_a_task_that_does_not_go(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    stage.kill()
    stage.loop.advance(300)
    assert stage.runner.orders == ["kill", "kill now", "lose"]
    assert stage.said[-1] == (S.KILLED, ASKED_TO_KILL)
    assert stage.loop.stopped


def test_the_application_is_asked_first(tmp_path: Path) -> None:
    machinery = FakeMachinery(port=8080, endpoints=True)
    stage = Stage(tmp_path, machinery, Waits(http=True))
    stage.launch()
    stage.kill()
    assert machinery.posted == ["/quitquitquit"] and not stage.runner.orders
    stage.loop.advance(4.9)
    assert machinery.posted == ["/quitquitquit"]
    stage.loop.advance(0.2)
    assert machinery.posted == ["/quitquitquit", "/abortabortabort"] and not stage.runner.orders
    stage.loop.advance(5.1)
    assert stage.runner.orders == ["kill"]


def test_an_application_that_says_404_is_not_waited_for(tmp_path: Path) -> None:
    """Defect 14 of the original: any answer counted, and cost ten seconds."""
    stage = Stage(tmp_path, FakeMachinery(port=8080, endpoints=False), Waits(http=True))
    stage.launch()
    stage.kill()
    assert stage.machinery.posted == ["/quitquitquit", "/abortabortabort"]
    assert stage.runner.orders == ["kill"]


@pytest.mark.parametrize("how", ["kill", "shutdown", "unhealthy"])
def test_checks_stop_before_the_runner_does(stage: Stage, how: str) -> None:
    """The announcer leaves first: nobody is sent to an instance that is going (items 105, pitfall 12)."""
    stage.launch()
    stage.checks.answers = False
    if how == "kill":
        stage.kill()
    elif how == "shutdown":
        stage.executor.shutdown("SHUTDOWN", stage.loop.now())
    else:
        stage.checks.report(Said.UNHEALTHY, "sick", stage.loop.now())
    stage.loop.settle()
    assert stage.checks.stopped == 1 and not stage.runner.orders
    stage.checks.report(Said.STOPPED, "", stage.loop.now())
    stage.loop.settle()
    assert stage.runner.orders == ["kill"]


@pytest.mark.parametrize("how", ["kill", "shutdown", "unhealthy"])
def test_a_task_that_was_over_before_says_its_own_word(stage: Stage, how: str) -> None:
    """Though the order comes in the same turn of the loop, before anybody looked (pitfall 11)."""
    stage.launch()
    stage.healthy()
    stage.runner.end(HostState.SUCCESS)
    if how == "kill":
        stage.executor.kill(TaskID(value="t1"), None, stage.loop.now())
    elif how == "shutdown":
        stage.executor.shutdown("SHUTDOWN", stage.loop.now())
    else:
        stage.checks.report(Said.UNHEALTHY, "Failed health check! no answer", stage.loop.now())
    stage.loop.advance(10)
    assert stage.said[-1] == (S.FINISHED, "Task finished.") and not stage.runner.orders


def test_a_task_that_ends_while_it_is_stopped_says_what_stopped_it(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    stage.kill()
    stage.runner.end(HostState.SUCCESS)
    stage.loop.advance(10)
    assert stage.said[-1] == (S.KILLED, ASKED_TO_KILL)


def test_a_task_that_is_over_waits_until_it_is_announced_no_more(stage: Stage) -> None:
    stage.launch()
    stage.checks.answers = False
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.advance(5)
    assert stage.said[-1][0] is S.FINISHED and not stage.loop.stopped
    stage.checks.report(Said.STOPPED, "", stage.loop.now())
    stage.loop.turn()
    assert stage.loop.stopped


def test_but_not_for_ever(stage: Stage) -> None:
    stage.launch()
    stage.checks.answers = False
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.advance(10.1)
    assert stage.loop.stopped


def test_an_application_that_goes_when_it_is_asked_ends_the_wait(tmp_path: Path) -> None:
    machinery = FakeMachinery(port=8080, endpoints=True)
    stage = Stage(tmp_path, machinery, Waits(http=True))
    stage.launch()
    stage.kill()
    stage.loop.advance(3)
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    assert stage.said[-1] == (S.KILLED, ASKED_TO_KILL)
    assert machinery.posted == ["/quitquitquit"] and not stage.runner.orders


def test_checks_stop_before_the_application_is_asked(tmp_path: Path) -> None:
    stage = Stage(tmp_path, FakeMachinery(port=8080), Waits(http=True))
    stage.launch()
    stage.checks.answers = False
    stage.kill()
    assert stage.checks.stopped == 1 and not stage.machinery.posted
    stage.checks.report(Said.STOPPED, "", stage.loop.now())
    stage.loop.settle()
    assert stage.machinery.posted


def test_an_unhealthy_task_fails_with_the_reason(stage: Stage) -> None:
    stage.launch()
    stage.healthy()
    stage.checks.report(Said.UNHEALTHY, "Failed health check! no answer", stage.loop.now())
    stage.loop.settle()
    stage.loop.turn()
    assert stage.said[-1] == (S.FAILED, "Failed health check! no answer")


def test_a_shutdown_fits_into_the_agents_patience(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    stage.executor.shutdown("SHUTDOWN", stage.loop.now())
    stage.loop.advance(5.0)  # the grace period of Mesos
    assert stage.said[-1] == (S.KILLED, ASKED_TO_END)
    assert stage.runner.orders == ["kill", "kill now", "lose"]


def test_a_kill_policy_is_a_budget(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    policy = KillPolicy(grace_period=DurationInfo(nanoseconds=2_000_000_000))
    stage.executor.kill(TaskID(value="t1"), policy, stage.loop.now())
    stage.loop.advance(2.0)
    assert stage.runner.orders == ["kill", "kill now", "lose"]


def test_a_shutdown_in_the_middle_of_a_kill_hurries(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    stage.kill()
    stage.loop.advance(1.0)
    assert stage.runner.graces == [30.0]
    stage.executor.shutdown("SHUTDOWN", stage.loop.now())
    stage.loop.advance(5.0)
    assert stage.runner.orders == ["kill", "kill", "kill now", "lose"]
    assert 0 < (stage.runner.graces[1] or 0) < 5
    assert stage.said[1:] == [(S.KILLED, ASKED_TO_KILL)]


def test_a_second_kill_may_have_less_patience(stage: Stage) -> None:
    stage.runner.obeys = False
    stage.launch()
    stage.kill()
    policy = KillPolicy(grace_period=DurationInfo(nanoseconds=2_000_000_000))
    stage.executor.kill(TaskID(value="t1"), policy, stage.loop.now())
    stage.loop.advance(2.0)
    assert stage.runner.orders[-1] == "lose"


def test_the_waits_are_those_of_the_task(stage: Stage) -> None:
    stage.machinery.waits = Waits(finalization_s=3.0, kill_s=4.0)
    stage.runner.obeys = False
    stage.launch()
    stage.kill()
    assert stage.runner.graces == [3.0]
    stage.loop.advance(6.9)
    assert stage.runner.orders == ["kill"]
    stage.loop.advance(0.2)
    assert stage.runner.orders == ["kill", "kill now"]


def test_an_answer_that_comes_late_means_nothing(tmp_path: Path) -> None:
    machinery = FakeMachinery(port=8080, endpoints=False)
    stage = Stage(tmp_path, machinery, Waits(http=True))
    stage.launch()
    stage.workers.hold = True
    stage.kill()
    stage.loop.advance(2.1)  # it has not answered /quitquitquit; /abortabortabort is under way
    late, _ = stage.workers.held
    late()
    stage.loop.settle()
    assert not stage.runner.orders
    stage.loop.advance(2.1)
    assert stage.runner.orders == ["kill"]


def test_a_launch_that_comes_when_all_is_over_is_lost(stage: Stage) -> None:
    stage.executor.shutdown("SHUTDOWN", stage.loop.now())
    stage.launch("t1")
    assert stage.said == [(S.LOST, "Task already running on this executor: none any more")]


def test_a_driver_that_hears_nothing_any_more_is_no_accident(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(*_: object) -> None:
        raise HostError("cannot send: the driver has ended")

    stage.launch()
    monkeypatch.setattr(stage.driver, "update", deaf)
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.advance(1)
    assert "cannot send: the driver has ended" in stage.log and stage.loop.stopped


def test_the_last_word_waits_for_its_acknowledgement(stage: Stage) -> None:
    stage.launch()
    stage.driver.acknowledge = False
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.settle()
    stage.loop.advance(59.9)
    assert not stage.loop.stopped
    stage.loop.advance(0.2)
    assert stage.loop.stopped  # long enough, from an agent that is there


def test_the_last_word_waits_for_an_agent_that_is_away(stage: Stage) -> None:
    stage.launch()
    stage.driver.acknowledge = False
    stage.driver.phase = AgentPhase.WAITING
    stage.runner.end(HostState.SUCCESS)
    stage.loop.turn()
    stage.loop.advance(600)
    assert not stage.loop.stopped
    stage.driver.phase = AgentPhase.SUBSCRIBED
    stage.driver.unacknowledged.clear()
    stage.loop.turn()
    assert stage.loop.stopped


def test_groups_are_refused_with_words(stage: Stage) -> None:
    task = TaskInfo(name="g", task_id=TaskID(value="g"), agent_id=AgentID(value="a"))
    stage.executor.launch_group(TaskGroupInfo(tasks=(task,)), stage.loop.now())
    assert stage.said == [(S.FAILED, "This executor runs single tasks: launch it with LAUNCH, not LAUNCH_GROUP")]


def test_the_state_file_tells_it_all(stage: Stage, tmp_path: Path) -> None:
    stage.launch()
    stage.loop.advance(2)
    state = json.loads((tmp_path / "executor.json").read_text())
    assert (state["version"], state["task_id"], state["phase"], state["outcome"]) == (1, "t1", "starting", None)
    assert state["health"] == {"verdict": "x"}
    stage.kill()
    stage.loop.advance(2)
    state = json.loads((tmp_path / "executor.json").read_text())
    assert state["phase"] == "ended"
    assert state["outcome"] == {"state": "TASK_KILLED", "message": ASKED_TO_KILL}


def test_a_driver_that_ends_takes_the_task_along(stage: Stage) -> None:
    """The agent refused us, or did not come back: it has given the task up."""
    stage.launch()
    stage.executor.ended("the agent did not come back", stage.loop.now())
    assert stage.runner.orders == ["kill now"] and stage.loop.stopped
