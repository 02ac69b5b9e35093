"""The driver on a virtual clock, with a link that the test plays: what is told, said, kept, and when."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from mesos.core import acks
from mesos.core.executor_api import Event, EventType, LaunchGroup
from mesos.core.executor_session import Phase
from mesos.core.messages import Source, TaskGroupInfo, TaskState
from mesos.core.wire import BadMessage, decode
from mesos.executor_driver import ExecutorOptions
from mesos.executor_link import Called
from mesos.http1 import Answer
from tests.mesos.executor.puppets import (
    SHUTDOWN,
    SUBSCRIBED,
    Stage,
    ack,
    environment,
    error,
    kill,
    launch,
    message,
    status,
    task,
)
from thermos.errors import Bug, HostError


def subscribed(**more: object) -> Stage:
    return Stage(**more).start().subscribe()  # type: ignore[arg-type]


def test_events_reach_the_listener_in_their_order() -> None:
    stage = subscribed()
    group = Event(
        type=EventType.LAUNCH_GROUP, launch_group=LaunchGroup(task_group=TaskGroupInfo(tasks=(task("b"), task("c"))))
    )
    stage.hear(launch("a"), group, message(b"hi"), kill("a"), Event(type=EventType.HEARTBEAT))
    assert stage.listener.told == [
        ("subscribed", False),
        ("launch", "a"),
        ("launch_group", "b", "c"),
        ("message", b"hi"),
        ("kill", "a", None),
    ]
    assert stage.link.credits == 0


def test_an_update_is_filled_in_and_sent() -> None:
    stage = subscribed()
    said = stage.driver.update(status("a"), stage.now)
    assert said.source == Source.EXECUTOR and said.timestamp == stage.now.wall
    assert said.executor_id is not None and said.executor_id.value == "ex"
    assert len(said.uuid) == 16 and said.uuid[6] >> 4 == 4 and said.uuid[8] >> 6 == 2
    call = stage.answer()
    assert call.update is not None and call.update.status == said
    assert stage.driver.pending == (said,)
    stage.hear(ack(said))
    assert stage.driver.pending == ()


def test_what_is_given_is_not_overwritten() -> None:
    stage = subscribed()
    given = stage.driver.update(status("a"), stage.now)
    assert stage.driver.update(given, stage.now) == given
    assert stage.driver.pending == (given,)


def test_messages_are_said_once_and_never_without_a_subscription() -> None:
    stage = Stage().start()
    stage.driver.message(b"early")
    stage.loop.settle()
    assert stage.listener.of("problem") == ["a message of 5 bytes was not sent: there is no subscription"]
    stage.subscribe()
    stage.driver.message(b"one")
    stage.driver.message(b"two")
    stage.loop.settle()
    first = stage.answer(500)
    stage.loop.advance(0.25)
    assert [first.message, stage.answer().message] == [message(b"one").message, message(b"two").message]
    assert stage.link.waiting is None
    assert stage.listener.of("problem")[1:] == ["cannot send a message: 500 Reason"]


def test_messages_that_wait_are_bounded() -> None:
    stage = subscribed(options=ExecutorOptions(max_messages=3))
    for _ in range(6):
        stage.driver.message(b"x")
    stage.loop.settle()
    assert len(stage.listener.of("problem")) == 2  # one is under way, three wait


def test_updates_that_nobody_acknowledges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acks, "MAX_PENDING", 5)
    stage = subscribed()
    for _ in range(5):
        stage.update("a")
    with pytest.raises(HostError, match="cannot keep more than 5 status updates"):
        stage.update("a")


def test_a_failed_call_is_sent_again_and_order_is_kept() -> None:
    stage = subscribed()
    first, second = stage.update("a", message="1"), stage.update("a", message="2")
    stage.link.break_call()
    stage.loop.settle()
    assert stage.link.waiting is None
    stage.loop.advance(0.25)
    for said in (first, second):
        call = stage.answer()
        assert call.update is not None and call.update.status == said
        stage.hear(ack(said))
    assert stage.driver.pending == ()
    assert len(stage.listener.of("problem")) == 1


def test_while_an_agent_recovers_all_calls_pause_and_it_is_told_once() -> None:
    """A real one lets executors subscribe at once, and answers 503 to everything else for seconds."""
    stage = subscribed()
    for n in range(50):
        stage.update(f"t{n}")
    started, calls = stage.now.mono, 0
    while stage.now.mono < started + 15:
        if stage.link.waiting is not None:
            calls += 1
            stage.answer(503, "Agent has not finished recovery")
        stage.loop.advance(0.1)
    assert 8 <= calls <= 20
    assert len(stage.listener.of("problem")) == 1
    stage.loop.advance(2.0)
    for _ in range(50):
        call = stage.answer()
        assert call.update is not None
        stage.hear(ack(call.update.status))
    assert stage.driver.pending == ()


@pytest.mark.parametrize("code", [401, 403, 500, 503])
def test_an_answer_that_may_pass_is_waited_out(code: int) -> None:
    stage = subscribed()
    said = stage.update("a")
    stage.answer(code, "words of the agent")
    assert stage.listener.of("problem") == [f"cannot send a status update: {code} Reason: words of the agent"]
    stage.loop.advance(0.25)
    stage.answer()
    stage.hear(ack(said))
    assert stage.driver.pending == ()


def test_an_update_that_the_agent_calls_bad_holds_up_nothing() -> None:
    stage = subscribed()
    bad, good = stage.update("a", message="bad"), stage.update("a", TaskState.FINISHED)
    stage.answer(400, "it is bad")
    call = stage.answer()
    assert call.update is not None and call.update.status == good
    stage.hear(ack(good))
    stage.loop.advance(1000)
    assert stage.link.waiting is None and stage.driver.pending == (bad,)


def test_updates_of_the_time_without_an_agent_are_in_the_next_subscribe() -> None:
    stage = subscribed()
    stage.hear(launch("a"), launch("b"))
    first = stage.update("a")
    stage.lose()
    second, third = stage.update("a", TaskState.FINISHED), stage.update("b")
    stage.come_back()
    subscribe = stage.link.subscribes[-1].call.subscribe
    assert subscribe is not None
    assert [u.status for u in subscribe.unacknowledged_updates] == [first, second, third]
    assert [t.task_id.value for t in subscribe.unacknowledged_tasks] == ["a", "b"]
    assert stage.link.waiting is None  # they are said
    stage.hear(*map(ack, (first, second, third)))
    assert stage.driver.pending == ()
    stage.lose()
    stage.come_back()
    subscribe = stage.link.subscribes[-1].call.subscribe
    assert subscribe is not None
    assert (subscribe.unacknowledged_tasks, subscribe.unacknowledged_updates) == ((), ())


def test_an_update_between_subscribe_and_subscribed_is_not_forgotten() -> None:
    stage = Stage().start()
    said = stage.update("a")
    assert stage.link.waiting is None
    stage.subscribe()
    call = stage.answer()
    assert call.update is not None and call.update.status == said


def test_a_call_of_an_old_connection_is_cut_off_and_its_answer_ignored() -> None:
    stage = subscribed()
    said = stage.update("a")
    old = stage.link.calls[-1].number
    stage.lose()
    assert stage.link.given_up[-1] == (1, old)
    stage.link.post(Called(old, Answer(400, "late")))
    stage.loop.settle()
    stage.come_back()
    assert stage.driver.pending == (said,)


def test_events_of_an_old_connection_are_ignored() -> None:
    stage = subscribed()
    stage.lose()
    stage.link.hear(launch("a"), SHUTDOWN)
    stage.loop.settle()
    assert stage.listener.of("launch") == [] and stage.listener.of("shutdown") == []
    assert stage.link.credits == 0


def test_an_agent_that_is_back_is_found_within_half_a_second() -> None:
    stage = subscribed()
    for _ in range(100):
        before = stage.now.mono
        stage.lose()
        while len(stage.link.subscribes) == stage.link.connection - 1 or stage.driver.phase is Phase.WAITING:
            stage.loop.advance(0.01)
        assert 0.1 <= stage.now.mono - before <= 0.52
    assert stage.loop.timers < 110  # those that were overtaken, of the last ten seconds
    stage.subscribe()
    stage.loop.advance(11)
    assert stage.loop.timers == 0


def test_a_task_that_is_launched_twice_is_told_once() -> None:
    stage = subscribed()
    stage.hear(launch("a"), launch("a"))
    assert stage.listener.of("launch") == ["a"]
    assert stage.listener.of("problem") == ["the agent launches a again; it was skipped"]


def test_what_cannot_be_read_or_is_not_known_yet_is_skipped() -> None:
    stage = subscribed()
    with pytest.raises(BadMessage) as bad:
        decode(b'{"type":3}', Event)
    stage.hear(bad.value, Event(type="FUTURE"), Event(type=EventType.LAUNCH), message(b"m"))
    assert stage.listener.of("message") == [b"m"]
    assert stage.listener.of("problem")[0].startswith("an event of the agent was skipped: cannot read a executor event")
    assert stage.listener.of("problem")[1:] == ["an event of the agent was skipped: LAUNCH without its contents"]
    assert stage.driver.state()["counts"]["unknown"] == 1


def test_shutdown_is_told_and_the_last_words_get_through() -> None:
    stage = subscribed()
    stage.hear(launch("a"), SHUTDOWN, SHUTDOWN)
    assert stage.listener.of("shutdown") == ["the agent says SHUTDOWN"]
    said = stage.update("a", TaskState.KILLED)
    stage.driver.stop(stage.now, flush_s=3)
    stage.answer()
    assert stage.listener.of("ended") == []
    stage.hear(ack(said))
    assert stage.listener.of("ended") == ["stopped"]
    assert stage.link.stopped and stage.driver.phase is Phase.ENDED


def test_flushing_has_its_time() -> None:
    stage = subscribed()
    stage.update("a")
    stage.driver.stop(stage.now, flush_s=3)
    stage.loop.advance(2.9)
    assert stage.listener.of("ended") == []
    stage.loop.advance(0.2)
    assert stage.listener.of("ended") == ["stopped"]


@pytest.mark.parametrize("where", ["idle", "connecting", "subscribed", "waiting", "abandoned"])
def test_stop_ends_at_once_wherever_it_is(where: str) -> None:
    stage = Stage()
    if where != "idle":
        stage.start()
    if where in ("subscribed", "waiting"):
        stage.subscribe()
    if where == "waiting":
        stage.lose()
    if where == "abandoned":
        stage.link.refuse("no")
        stage.loop.settle()
        stage.update("a")  # nobody will hear it: no reason to wait
        stage.driver.stop(stage.now, flush_s=100)
    stage.driver.stop(stage.now)
    stage.loop.settle()
    assert stage.listener.told[-1] == ("ended", "stopped") and stage.link.stopped
    stage.driver.stop(stage.now)
    stage.loop.advance(1000)
    assert len(stage.listener.of("ended")) == 1
    with pytest.raises(HostError, match="cannot send TASK_RUNNING of a: the executor's driver has ended"):
        stage.update("a")


def test_it_is_started_once() -> None:
    with pytest.raises(Bug, match="started once"):
        subscribed().start()


def test_the_recovery_timeout_ends_it_and_its_last_words_may_still_be_heard() -> None:
    stage = subscribed(env=environment(recovery_timeout_s=30.0))
    stage.lose()
    for _ in range(200):
        stage.loop.advance(0.5)
        if stage.driver.phase is Phase.CONNECTING:
            stage.lose("cannot connect")
    assert stage.listener.of("shutdown") == ["the agent is away for 30 s (cannot connect)"]
    said = stage.update("a", TaskState.KILLED)
    stage.driver.stop(stage.now, flush_s=5)
    while stage.driver.phase is not Phase.CONNECTING:
        stage.loop.advance(0.1)
    stage.subscribe()
    stage.hear(ack(said))
    assert stage.listener.of("ended") == ["stopped"]


def test_without_checkpoints_it_ends_with_its_agent() -> None:
    stage = subscribed(env=environment(checkpoint=False))
    stage.lose("closed")
    assert stage.listener.told[1:] == [
        ("disconnected", "closed"),
        ("shutdown", "closed; without checkpointing that is for good"),
    ]
    stage.loop.advance(1e4)
    assert len(stage.link.subscribes) == 1


@pytest.mark.parametrize("how", ["declined", "event"])
def test_a_refusal_is_told_in_the_agents_words(how: str) -> None:
    stage = Stage().start()
    if how == "declined":
        stage.link.refuse("cannot subscribe: 403 Forbidden: Executor is not known")
    else:
        stage.subscribe()
        stage.link.hear(error("no more of you"))
    stage.loop.settle()
    wanted = "cannot subscribe: 403 Forbidden: Executor is not known"
    assert stage.listener.of("shutdown") == [wanted if how == "declined" else "the agent says ERROR: no more of you"]
    stage.loop.advance(1e4)
    assert len(stage.link.subscribes) == 1


def test_a_second_subscribed_is_nonsense_and_a_reason_to_begin_anew() -> None:
    stage = subscribed()
    stage.hear(SUBSCRIBED)
    assert stage.driver.phase is Phase.WAITING
    assert stage.listener.of("disconnected") == ["the agent said SUBSCRIBED when it can't (subscribed)"]
    stage.come_back()


def test_while_a_call_is_under_way_nothing_spins() -> None:
    """Another update is due in the meantime; it has to wait for the answer, asleep."""
    stage = subscribed()
    stage.update("a")
    stage.link.break_call()
    stage.loop.settle()
    stage.update("b")
    stage.loop.advance(100)
    assert len(stage.link.calls) == 2


def test_an_update_in_the_pause_after_a_failed_message_is_not_forgotten() -> None:
    stage = subscribed()
    stage.driver.message(b"m")
    stage.loop.settle()
    stage.answer(503)
    said = stage.update("a")
    assert stage.link.waiting is None
    stage.loop.advance(0.25)
    assert stage.link.waiting is not None and stage.link.waiting.update is not None
    assert stage.link.waiting.update.status == said


def test_subscribed_without_its_contents_is_no_subscription() -> None:
    stage = Stage().start()
    stage.link.accept()
    stage.hear(Event(type=EventType.SUBSCRIBED))
    assert stage.driver.phase is Phase.SUBSCRIBING
    stage.loop.advance(10)
    assert stage.driver.phase is Phase.WAITING


def test_updates_come_after_the_start() -> None:
    with pytest.raises(Bug, match="started before"):
        Stage().update("a")


# --- the journal -------------------------------------------------------------------------------------------------


def test_what_was_not_acknowledged_survives_the_process(tmp_path: Path) -> None:
    stage = subscribed(journal=tmp_path / "j")
    stage.hear(launch("a"), launch("b"))
    first = stage.update("a")
    stage.answer()
    stage.hear(ack(first))
    second = stage.update("a", TaskState.FINISHED)
    after = Stage(journal=tmp_path / "j").start()  # the first one is gone without a word
    subscribe = after.link.subscribes[-1].call.subscribe
    assert subscribe is not None
    assert [u.status for u in subscribe.unacknowledged_updates] == [second]
    assert [t.task_id.value for t in subscribe.unacknowledged_tasks] == ["b"]
    assert after.driver.pending == (second,)


def test_an_update_is_on_disk_before_it_is_sent_and_a_task_before_it_is_launched(tmp_path: Path) -> None:
    seen: dict[str, str] = {}
    stage = subscribed(journal=tmp_path / "j")

    def on_launch(task: object, now: object) -> None:
        seen["launch"] = (tmp_path / "j").read_text()

    def on_call(number: int, body: bytes) -> None:
        seen["call"] = (tmp_path / "j").read_text()

    stage.listener.launch = on_launch  # type: ignore[method-assign]
    stage.driver._calls._order = on_call
    stage.hear(launch("a"))
    stage.update("a", message="find me")
    assert '"LAUNCHED"' in seen["launch"] and "find me" in seen["call"]


def test_a_full_disk_is_told_once_and_nothing_is_held_up(tmp_path: Path) -> None:
    full, fired = True, 0

    def write(fd: int, data: bytes) -> int:
        nonlocal fired
        if full:
            fired += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data)

    stage = Stage(journal=tmp_path / "j", write=write).start().subscribe()
    stage.hear(launch("a"))
    said = stage.update("a")
    stage.loop.advance(10)
    assert fired > 10
    problems = stage.listener.of("problem")
    assert len(problems) == 1 and "No space left on device" in problems[0]
    assert stage.driver.state()["journal"] == problems[0]
    assert stage.listener.of("launch") == ["a"]
    call = stage.link.waiting
    assert call is not None and call.update is not None and call.update.status == said
    full = False
    stage.loop.advance(1.1)
    assert stage.driver.state()["journal"] == "ok"
    assert Stage(journal=tmp_path / "j").start().driver.pending == (said,)


def test_without_a_usable_journal_it_lives_and_says_so(tmp_path: Path) -> None:
    stage = subscribed(journal=tmp_path / "absent" / "j")
    said = stage.update("a")
    assert stage.driver.pending == (said,)
    assert len(stage.listener.of("problem")) == 1
    assert stage.listener.of("problem")[0].endswith("should this executor crash, its updates are lost")
    stage.driver.stop(stage.now)
    stage.loop.settle()


def test_damage_in_the_journal_is_told(tmp_path: Path) -> None:
    subscribed(journal=tmp_path / "j").update("a")
    data = (tmp_path / "j").read_bytes()
    (tmp_path / "j").write_bytes(data[:-3])
    stage = Stage(journal=tmp_path / "j").start()
    assert stage.listener.of("problem")[0].startswith(f"journal {tmp_path}/j: a torn line")
    assert stage.driver.pending == ()
