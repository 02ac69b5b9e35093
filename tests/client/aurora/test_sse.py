"""Server-sent events out of bytes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.aurora.core import sse
from client.aurora.core.sse import EventParser, ServerEvent, TooLong

#: However busy the machine is.
PATIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

STREAM = (
    b": hello\n\n"
    b'id: b-1\nevent: task\ndata: {"a": 1}\n\n'
    b"id: b-2\r\nevent: reset\r\n\r\n"
    b"data: one\ndata:two\n\n"
    b"retry: 5\n\n"
    b"event: task\ndata: unfinished\n"
)
EVENTS = [
    ServerEvent("task", '{"a": 1}', "b-1"),
    ServerEvent("reset", "", "b-2"),
    ServerEvent("message", "one\ntwo", "b-2"),
]


@PATIENT
@given(st.lists(st.integers(0, len(STREAM))))
def test_however_the_bytes_come(cuts: list[int]) -> None:
    parser, events, last = EventParser("b-0"), [], 0
    assert parser.last_id == "b-0"
    for cut in [*sorted(cuts), len(STREAM)]:
        events += parser.feed(STREAM[last:cut])
        last = cut
    assert events == EVENTS
    assert parser.last_id == "b-2"


@PATIENT
@given(st.binary())
def test_anything_may_come(data: bytes) -> None:
    for event in EventParser().feed(data):
        assert isinstance(event, ServerEvent)


@pytest.mark.parametrize("data", [b"x" * 200, b"data: 123456789\n" * 20])
def test_nothing_without_end(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sse, "MOST", 100)
    with pytest.raises(TooLong):
        EventParser().feed(data)
