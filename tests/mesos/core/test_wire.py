"""Bytes to messages and back: what real Mesos writes, what nobody should write, and what must not get lost."""

from __future__ import annotations

import base64
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core import executor_api, scheduler_api, wire
from mesos.core.messages import (
    UUID,
    AgentID,
    ExecutorID,
    FrameworkID,
    FrameworkInfo,
    OfferID,
    OperationID,
    OperationState,
    OperationStatus,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    TaskState,
    TaskStatus,
    ranges,
    scalar,
)
from tests.mesos.core import samples

STATUS = TaskStatus(task_id=TaskID(value="t"), state=TaskState.RUNNING, agent_id=AgentID(value="a"), uuid=b"\0\xff" * 8)


@pytest.mark.parametrize("data", samples.REAL, ids=lambda d: json.loads(d)["type"])
def test_what_real_mesos_writes_is_read_and_written_again_without_loss(data: bytes) -> None:
    event = wire.decode(data, scheduler_api.Event)
    assert json.loads(wire.encode(event)) == json.loads(data)


def test_an_event_of_a_type_that_we_do_not_know_is_an_event_without_payload() -> None:
    event = wire.decode(b'{"type":"HOLOGRAM","hologram":{"of":[1,2,{"x":null}]}}', scheduler_api.Event)
    assert event.type == "HOLOGRAM"
    assert event == scheduler_api.Event(type="HOLOGRAM")


def test_unknown_fields_and_enum_values_are_no_reason_to_stop() -> None:
    text = b'{"type":"UPDATE","update":{"status":{"task_id":{"value":"t","x":1},"state":"TASK_DREAMING","y":[{}]}}}'
    event = wire.decode(text, scheduler_api.Event)
    assert event.update is not None
    assert event.update.status.state == "TASK_DREAMING"


@pytest.mark.parametrize(
    ("text", "value"),
    [('"Infinity"', math.inf), ('"-Infinity"', -math.inf), ("1e3", 1000.0), ("7", 7.0), ('"2.5"', 2.5)],
)
def test_doubles_in_every_spelling(text: str, value: float) -> None:
    assert wire.decode(b'{"value":' + text.encode() + b"}", Scalar).value == value


def test_an_infinite_double_is_written_as_mesos_reads_it() -> None:
    call = scheduler_api.decline([OfferID(value="o")], math.inf)
    data = wire.encode(call)
    assert json.loads(data)["decline"]["filters"]["refuse_seconds"] == "Infinity"
    assert wire.decode(data, scheduler_api.Call) == call


def test_limits_of_a_task_may_be_infinite() -> None:
    task = TaskInfo(
        name="t", task_id=TaskID(value="t"), agent_id=AgentID(value="a"), limits={"mem": Scalar(value=math.inf)}
    )
    assert wire.decode(wire.encode(task), TaskInfo) == task


def test_a_nan_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="NaN"):
        wire.encode(scalar("cpus", math.nan))


def test_a_text_that_says_null_stays_what_it_is() -> None:
    info = FrameworkInfo(user="null", name="it's null")
    assert wire.decode(wire.encode(info), FrameworkInfo) == info


def test_bytes_are_base64() -> None:
    call = scheduler_api.message(AgentID(value="a"), ExecutorID(value="e"), b"\0\1\xfe\xff")
    assert json.loads(wire.encode(call))["message"]["data"] == base64.b64encode(b"\0\1\xfe\xff").decode()


def test_numbers_of_64_bits_may_stand_in_quotes() -> None:
    event = b'{"type":"LAUNCH","launch":{"task":{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},\
"kill_policy":{"grace_period":{"nanoseconds":"30000000000"}}}}}'
    launched = wire.decode(event, executor_api.Event).launch
    assert launched is not None and launched.task.kill_policy is not None
    assert launched.task.kill_policy.grace_period is not None
    assert launched.task.kill_policy.grace_period.nanoseconds == 30_000_000_000


def test_the_acknowledgement_of_an_operation_carries_the_bare_uuid() -> None:
    """pymesos sends the whole status, with the uuid wrapped (its defect 7)."""
    status = OperationStatus(
        state=OperationState.FINISHED, operation_id=OperationID(value="op"), uuid=UUID(value=b"u" * 16)
    )
    sent = json.loads(wire.encode(scheduler_api.acknowledge_operation(status)))
    assert sent == {
        "type": "ACKNOWLEDGE_OPERATION_STATUS",
        "acknowledge_operation_status": {
            "uuid": base64.b64encode(b"u" * 16).decode(),
            "operation_id": {"value": "op"},
        },
    }


def test_what_has_no_uuid_is_not_acknowledged() -> None:
    with pytest.raises(ValueError, match="nothing to acknowledge"):
        scheduler_api.acknowledge(msgspec.structs.replace(STATUS, uuid=b""))
    with pytest.raises(ValueError, match="nothing to acknowledge"):
        scheduler_api.acknowledge_operation(OperationStatus(state=OperationState.FINISHED))


def test_an_implicit_reconciliation_says_so() -> None:
    assert json.loads(wire.encode(scheduler_api.reconcile())) == {"type": "RECONCILE", "reconcile": {"tasks": []}}


def test_an_executor_says_both_lists_when_it_subscribes() -> None:
    speaker = executor_api.Speaker(framework_id=FrameworkID(value="f"), executor_id=ExecutorID(value="e"))
    assert json.loads(wire.encode(speaker.subscribe([], [])))["subscribe"] == {
        "unacknowledged_tasks": [],
        "unacknowledged_updates": [],
    }
    full = speaker.subscribe([], [STATUS])
    assert wire.decode(wire.encode(full), executor_api.Call) == full


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "scheduler event"),
        (b"{", "scheduler event"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `type`"),
        (b'{"type":7}', r"\$\.type"),
        (b'{"type":"UPDATE","update":{"status":{"state":"TASK_RUNNING"}}}', r"`task_id` - at `\$\.update\.status`"),
        (b'{"type":"MESSAGE","message":{"agent_id":{"value":"a"},"executor_id":{"value":"e"},"data":"%%"}}', "base64"),
        (b'{"type":"X"} {"type":"Y"}', "scheduler event"),
        (b'{"type":"X","update":' + b"[" * 100_000, "scheduler event"),
        (b'{"type":"X","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "scheduler event"),
    ],
    ids=lambda v: v[:30].decode("latin-1") if isinstance(v, bytes) else "",
)
def test_what_is_no_message_is_refused_with_its_place(data: bytes, words: str) -> None:
    with pytest.raises(wire.BadMessage, match=words) as caught:
        wire.decode(data, scheduler_api.Event)
    assert "\n" not in str(caught.value)


_numbers = st.floats(allow_nan=False, width=32)
_resources = st.one_of(
    st.builds(scalar, st.sampled_from(["cpus", "mem", "gpus"]), _numbers, st.sampled_from(["", "*", "www"])),
    st.builds(lambda a, n: ranges("ports", (a, a + n)), st.integers(0, 60000), st.integers(0, 1000)),
)


@given(
    st.lists(_resources, max_size=5),
    st.binary(max_size=50),
    st.text(max_size=20),
    st.dictionaries(st.text(), st.integers()),
)
def test_any_task_survives_the_wire(items: list[Resource], data: bytes, name: str, box: dict[str, int]) -> None:
    task = TaskInfo(
        name=name,
        task_id=TaskID(value=name),
        agent_id=AgentID(value="a"),
        resources=tuple(items),
        data=data,
        container={"box": box},
    )
    event = executor_api.Event(type="LAUNCH", launch=executor_api.Launch(task=task))
    assert wire.decode(wire.encode(event), executor_api.Event) == event


_names = st.text(max_size=5) | st.sampled_from(
    sorted({name for kind in (scheduler_api.Event, TaskStatus, Resource) for name in kind.__struct_fields__})
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5),
    max_leaves=20,
)


@given(_json)
def test_any_json_is_a_message_or_refused(value: object) -> None:
    data = json.dumps(value).encode()
    for kind in (scheduler_api.Event, scheduler_api.Call, executor_api.Event, executor_api.Call):
        try:
            message = wire.decode(data, kind)
        except wire.BadMessage:
            continue
        assert isinstance(message, kind)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(data: bytes) -> None:
    try:
        wire.decode(data, scheduler_api.Event)
    except wire.BadMessage as refusal:
        assert "cannot read a scheduler event" in str(refusal)


@pytest.mark.parametrize("words", [b"\xff\xfe", b"gr\xfcn", b"\xc3"])
def test_words_that_are_no_utf8_do_not_hide_a_status(words: bytes) -> None:
    said = (
        b'{"type":"UPDATE","update":{"status":{"task_id":{"value":"t"},"state":"TASK_FAILED","message":"%s"}}}' % words
    )
    update = wire.decode(said, scheduler_api.Event).update
    assert update is not None and update.status.state == "TASK_FAILED"
    assert update.status.message == words.decode("utf-8", "replace")
