"""What is wrong with a body, in Mesos' words; and options as people write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.local.core.json_words import explain
from mesos.local.http_words import Refusal, parse_json, parse_object, parse_scheduler_call
from mesos.local.options import make_options, parse_options
from thermos.errors import UserError


def refused(body: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        parse_scheduler_call(body)
    assert caught.value.status == 400
    return caught.value.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Failed to parse body into JSON: syntax error at line 1 near: "),
        (b"nonsense", "Failed to parse body into JSON: syntax error at line 1 near: onsense"),
        (b'{"type":\n"KILL",\n x}\ny', "Failed to parse body into JSON: syntax error at line 3 near: x}"),
        (b"[1]", "Failed to convert JSON into Call protobuf: Expecting a JSON object"),
        (b'{"type":null}', "Failed to validate scheduler::Call: Expecting 'type' to be present"),
        (b'{"type":["x"]}', "Failed to convert JSON into Call protobuf: Not expecting a JSON array for field 'type'"),
        (
            b'{"type":"ACCEPT","accept":{"offer_ids":[{}]}}',
            "Failed to convert JSON into Call protobuf: Missing required fields: accept.offer_ids[0].value",
        ),
        (
            b'{"type":"KILL","kill":{"task_id":{"value":true}}}',
            "Failed to convert JSON into Call protobuf: Not expecting a JSON boolean for field 'value'",
        ),
        (
            b'{"type":"MESSAGE","message":{"agent_id":{"value":"a"},"executor_id":{"value":"e"},"data":"!"}}',
            "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'data'",
        ),
    ],
)
def test_bad_calls(body: bytes, text: str) -> None:
    assert refused(body) == text


def test_deep_nesting_is_refused() -> None:
    assert refused(b"[" * 100_000).startswith("Failed to parse body into JSON: ")
    deep = b'{"type":"KILL","kill":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}"
    assert refused(deep)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    for parse in (parse_json, parse_object, parse_scheduler_call):
        try:
            parse(body)
        except Refusal as refusal:
            assert refusal.status == 400
            assert len(refusal.text) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(["KILL", "ACCEPT", "SUBSCRIBE", "RECONCILE", "ACKNOWLEDGE"]), JSON)
def test_any_payload_is_a_call_or_a_refusal(kind: str, payload: Any) -> None:
    body = msgspec.json.encode({"type": kind, kind.lower(): payload})
    try:
        assert parse_scheduler_call(body).type == kind
    except Refusal as refusal:
        assert refusal.text.startswith("Failed to convert JSON into Call protobuf: ")


def test_other_errors_are_told_as_they_are() -> None:
    assert explain(ValueError("something else")) == "something else"


@dataclass(frozen=True)
class Some:
    wait_s: float = 1.0
    count: int = 2
    on: bool = False
    key: bytes | None = None
    least: tuple[str, ...] = ()


def test_options_of_a_command_line() -> None:
    pairs = ["wait_s=2", "count=3", "on=yes", "key=a=b"]
    assert parse_options(Some, pairs, "agent") == {"wait_s": 2.0, "count": 3, "on": True, "key": b"a=b"}
    assert parse_options(Some, ["key=none"], "agent") == {"key": None}
    assert make_options(Some, {"count": 5}, "agent", wait_s=7.0) == Some(7.0, 5)


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ("wait=1", "no agent option 'wait=1': expected NAME=VALUE, NAME one of count, key, on, wait_s"),
        ("count", "no agent option 'count': expected NAME=VALUE, NAME one of count, key, on, wait_s"),
        ("least=x", "no agent option 'least=x': expected NAME=VALUE, NAME one of count, key, on, wait_s"),
        ("count=1.5", "cannot read count=1.5: expected a whole number"),
        ("wait_s=x", "cannot read wait_s=x: expected a number"),
        ("wait_s=-1", "cannot read wait_s=-1: expected a number, and none below 0"),
        ("wait_s=nan", "cannot read wait_s=nan: expected a number, and none below 0"),
        ("wait_s=inf", "cannot read wait_s=inf: expected a number, and none below 0"),
        ("count=-1", "cannot read count=-1: expected a whole number, and none below 0"),
        ("on=maybe", "cannot read on=maybe: expected true or false"),
    ],
)
def test_bad_options_are_named(pair: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_options(Some, [pair], "agent")
    assert str(caught.value) == text


def test_an_unknown_option_given_by_a_program_is_named() -> None:
    with pytest.raises(UserError, match="no agent option 'nope'; there are count, key, least, on, wait_s"):
        make_options(Some, {"nope": 1}, "agent")
