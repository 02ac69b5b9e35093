"""The tables of agent and executor, whole, and the small parts that the agent is made of."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.messages import TaskID, TaskStatus
from mesos.local.core.agent_config import AgentConfig, AgentOptions, duration_text, flags_of
from mesos.local.core.agent_deadlines import Deadlines
from mesos.local.core.agent_disk import AgentDisk, uuid_text
from mesos.local.core.agent_states import (
    AGENT_TABLE,
    EXECUTOR_TABLE,
    AgentChange,
    AgentPhase,
    Deed,
    ExecutorChange,
    ExecutorState,
    step_agent,
    step_executor,
)
from mesos.local.core.agent_token import BadToken, sign, verify
from mesos.local.core.agent_updates import REMEMBERED, Acknowledgement, Receipt, UpdateStream
from tests.mesos.local.agent.harness import agent_info

_ORDER = list(ExecutorState)


@pytest.mark.parametrize(
    ("state", "change"), list(itertools.product(ExecutorState, ExecutorChange)), ids=lambda x: x.name
)
def test_every_pair_of_an_executor(state: ExecutorState, change: ExecutorChange) -> None:
    after, deed = step_executor(state, change)
    assert _ORDER.index(after) >= _ORDER.index(state), "an executor never goes back"
    if state is ExecutorState.TERMINATED:
        assert deed in (Deed.NOTHING, Deed.DISMISS)
    if change is ExecutorChange.EXITED:
        assert after is ExecutorState.TERMINATED
        assert (deed is Deed.BURY) == (state is not ExecutorState.TERMINATED)
    if deed in (Deed.KILL, Deed.ASK):
        assert after is ExecutorState.TERMINATING
    if deed is Deed.WELCOME:
        assert after is ExecutorState.RUNNING
    if deed is Deed.NOTHING:
        assert after is state


def test_the_executors_table_has_nothing_else() -> None:
    assert set(EXECUTOR_TABLE) == set(itertools.product(ExecutorState, ExecutorChange))


@pytest.mark.parametrize(("phase", "change"), list(itertools.product(AgentPhase, AgentChange)), ids=lambda x: x.name)
def test_every_pair_of_an_agent(phase: AgentPhase, change: AgentChange) -> None:
    after = step_agent(phase, change)
    if (phase, change) not in AGENT_TABLE:
        assert after is phase
    if phase is AgentPhase.TERMINATING:
        assert after is AgentPhase.TERMINATING
    if change is AgentChange.SHUTDOWN:
        assert after is AgentPhase.TERMINATING


# --- updates ------------------------------------------------------------------------------------------------------


def status(number: int, state: str = "TASK_RUNNING") -> TaskStatus:
    return TaskStatus(task_id=TaskID(value="t"), state=state, uuid=number.to_bytes(16, "big"))


def test_a_stream_of_updates() -> None:
    stream = UpdateStream("f", "t", "c")
    assert stream.receive(status(1), 2) is Receipt.NEW
    assert stream.receive(status(1), 2) is Receipt.DUPLICATE
    assert stream.receive(status(2, "TASK_FINISHED"), 2) is Receipt.NEW
    assert stream.receive(status(3), 2) is Receipt.FULL
    assert stream.acknowledge(status(2).uuid) is Acknowledgement.UNEXPECTED
    assert stream.acknowledge(status(1).uuid) is Acknowledgement.NEXT
    assert stream.acknowledge(status(1).uuid) is Acknowledgement.UNEXPECTED
    assert stream.receive(status(1), 2) is Receipt.DUPLICATE
    assert stream.acknowledge(status(2).uuid) is Acknowledgement.DONE
    assert stream.head is None
    assert stream.acknowledge(b"") is Acknowledgement.UNEXPECTED


def test_a_stream_is_bounded() -> None:
    stream = UpdateStream("f", "t", "c")
    for number in range(1000):
        assert stream.receive(status(number), 10) is Receipt.NEW
        stream.acknowledge(status(number).uuid)
    assert len(stream.recent) == REMEMBERED
    assert stream.pending == ()


# --- deadlines ----------------------------------------------------------------------------------------------------

_KEYS = st.integers(0, 5)


@given(st.lists(st.tuples(st.sampled_from(["set", "drop", "due"]), _KEYS, st.integers(0, 20)), max_size=60))
def test_deadlines_are_what_a_dict_would_say(steps: list[tuple[str, int, int]]) -> None:
    deadlines, model = Deadlines(), dict[int, float]()
    for what, key, number in steps:
        if what == "set":
            deadlines.set(key, float(number))
            model[key] = float(number)
        elif what == "drop":
            deadlines.drop(key)
            model.pop(key, None)
        else:
            due = deadlines.due(float(number))
            if due is None:
                assert all(when > number for when in model.values())
            else:
                assert isinstance(due, int)
                earliest = min(model.values())
                assert model.pop(due) == earliest <= number
        assert deadlines.next_at == (min(model.values()) if model else None)
        assert len(deadlines) == len(model)


def test_deadlines_that_move_cost_no_memory() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set("one", float(number))
    assert deadlines._heap is not None
    assert len(deadlines._heap) < 32
    deadlines.drop("one")
    assert deadlines._heap is None


# --- small things -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ns"), (5, "5secs"), (60, "1mins"), (90, "90secs"), (900, "15mins"), (3600, "1hrs"), (0.5, "500ms"),
        (86400, "1days"), (604800, "1weeks"), (1.5, "1500ms"), (0.000_002, "2us"), (7200, "2hrs"),
    ],
)  # fmt: skip
def test_durations_as_mesos_writes_them(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_identities_are_the_same_for_a_seed_and_never_twice() -> None:
    one, two, other = AgentDisk("a"), AgentDisk("a"), AgentDisk("b")
    made = [one.new_uuid() for _ in range(100)]
    assert made == [two.new_uuid() for _ in range(100)]
    assert len({*made, *(other.new_uuid() for _ in range(100))}) == 200
    assert all(0 <= one.new_fraction() < 1 for _ in range(100))
    text = uuid_text(made[0])
    assert (len(text), text[14]) == (36, "4")


def test_secrets_are_not_shown() -> None:
    config = AgentConfig(info=agent_info(), options=AgentOptions(jwt_secret_key=b"hidden"))
    assert "hidden" not in repr(config)
    assert "hidden" not in str(dict(flags_of(config)))


def test_tokens() -> None:
    token = sign(b"key", "f", "e", "c")
    assert verify(b"key", token, 0.0) == {"fid": "f", "eid": "e", "cid": "c"}
    for bad, text in [
        ("", "Expected 3 components in token, got 1"),
        ("a.b.c", "Failed to decode token header"),
        (token[:-2] + "xx", "Token signature does not match"),
        ("é" * 3 + ".b.c", "Failed to decode token header"),
    ]:
        with pytest.raises(BadToken, match=text):
            verify(b"key", bad, 0.0)
    with pytest.raises(BadToken, match="signature"):
        verify(b"other", token, 0.0)


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        verify(b"key", text, 0.0)
