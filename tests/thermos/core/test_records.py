"""The lines of a checkpoint: exact bytes out, and whatever comes in is a record or a line with its place."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thermos.core.samples import any_record, exited, forked, header, one_of_each, owner, starting
from thermos.core import records
from thermos.core.records import (
    AnyRecord,
    BadLine,
    Exited,
    Line,
    Record,
    RecordReader,
    Stopped,
    TaskStatus,
    decode_line,
    encode_record,
)
from thermos.core.states import TaskState


def line(body: bytes) -> bytes:
    """A line made by hand, as docs/coordinator.md describes it."""
    return b"%08x " % zlib.crc32(body) + body + b"\n"


def read(*pieces: bytes, offset: int = 0) -> list[Line | BadLine]:
    reader = RecordReader(offset)
    return [found for piece in pieces for found in reader.feed(piece)]


def good(lines: Iterable[Line | BadLine]) -> list[AnyRecord | None]:
    return [found.record for found in lines if isinstance(found, Line)]


def bad(lines: Iterable[Line | BadLine]) -> list[BadLine]:
    return [found for found in lines if isinstance(found, BadLine)]


# --- exact bytes -----------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_line() -> None:
    assert encode_record(TaskStatus(at=1.5, mono=1.5, state=TaskState.ACTIVE, reason="now ACTIVE")) == line(
        b'{"kind":"task","at":1.5,"mono":1.5,"state":"ACTIVE","reason":"now ACTIVE"}'
    )
    body = b'{"kind":"starting","at":10.0,"mono":10.0,"process":"p","run":0,"nonce":"p-0","offset":0}'
    assert encode_record(starting()) == b"76bc424a " + body + b"\n"


def test_keys_stand_in_the_order_of_the_struct_kind_first() -> None:
    for record in one_of_each():
        keys = list(json.loads(encode_record(record)[9:]))
        fields = ["kind", *(f.encode_name for f in msgspec.structs.fields(record))]
        assert keys == [f for f in fields if f in keys]
        assert keys[:3] == ["kind", "at", "mono"]


def test_a_line_is_one_line_whatever_is_in_it() -> None:
    record = TaskStatus(at=1, mono=1, state=TaskState.ACTIVE, reason="two\nlines\r\x00\x1b ü")
    raw = encode_record(record)
    assert raw.count(b"\n") == 1
    assert raw.endswith(b"\n")
    assert b"\x00" not in raw
    assert good(read(raw)) == [record]


def test_there_is_a_sample_of_every_kind() -> None:
    assert {type(r) for r in one_of_each()} == set(AnyRecord.__args__)
    assert len(one_of_each()) == 15


@pytest.mark.parametrize("record", one_of_each(), ids=lambda r: type(r).__name__)
def test_every_kind_round_trips(record: AnyRecord) -> None:
    raw = encode_record(record)
    assert decode_line(raw, 7) == Line(7, raw, record)


@settings(deadline=None, max_examples=100)
@given(any_record())
def test_any_record_round_trips_and_says_the_same_again(record: AnyRecord) -> None:
    raw = encode_record(record)
    found = decode_line(raw)
    assert isinstance(found, Line)
    assert found.record == record
    assert encode_record(record) == raw


COORDINATOR_LINES = {
    b'{"kind":"forked","process":"p","run":0,"seq":0,"at":11.000000,"mono":11.000000,"pid":100,"start":7,'
    b'"boot":"boot-1","pidns":4026531836}': forked(),
    b'{"kind":"exited","process":"p","run":0,"seq":2,"at":13.000000,"mono":13.000000,"code":3,"signal":null,'
    b'"utime":0.250000,"stime":0.500000,"maxrss":4096,"daemons":0}': exited(code=3),
    b'{"kind":"exited","process":"p","run":0,"seq":2,"at":13.000000,"mono":13.000000,"code":null,"signal":9,'
    b'"utime":0.250000,"stime":0.500000,"maxrss":4096,"daemons":2}': exited(code=None, signal=9, daemons=2),
    b'{"kind":"stopped","process":"p","run":0,"seq":2,"at":1.000000,"mono":1.000000,"why":"kill","signal":15,'
    b'"signalled":2,"left":1,"killed":[[9,"a?b"]],"killed_count":1,"daemons":[],"refused":[[1,"init"]]}': Stopped(
        at=1, mono=1, process="p", run=0, seq=2, why="kill", signal=15, signalled=2, left=1, killed=[(9, "a?b")],
        killed_count=1, refused=[(1, "init")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "record"), COORDINATOR_LINES.items(), ids=lambda x: type(x).__name__)
def test_the_coordinators_own_bytes_are_understood(body: bytes, record: Record) -> None:
    """Another order of keys, six digits, explicit nulls."""
    assert good(read(line(body))) == [record]


def test_exit_code_0_is_not_no_exit_code() -> None:
    (record,) = good(read(encode_record(exited(code=0))))
    assert isinstance(record, Exited)
    assert (record.code, record.signal) == (0, None)


# --- what is not ours ------------------------------------------------------------------------------------------------


def test_an_unknown_kind_is_a_good_line_without_a_record() -> None:
    raw = line(b'{"kind":"from_the_future","at":1,"mono":1,"x":[1]}')
    assert decode_line(raw, 3) == Line(3, raw, None)


def test_unknown_fields_of_a_known_kind_are_ignored() -> None:
    body = encode_record(starting())[9:-2] + b',"colour":"blue"}'
    assert good(read(line(body))) == [starting()]


DAMAGE = {
    "bad checksum": (b"00000000 " + encode_record(owner())[9:], "wrong checksum"),
    "garbage": (b"hello, world, this is no record\n", "no checksum"),
    "binary garbage": (b"\xff\xfe\x00\x01\x02\x03\x04\x05 \x07\n", "no checksum"),
    "one character": (b"x\n", "no checksum"),
    "hex and nothing else": (b"abc\n", "wrong checksum"),
    "a checksum alone": (b"00000000\n", "wrong checksum"),
    "NULs of a crashed file system": (b"\0" * 100 + b"\n", "no checksum"),
    "NULs before a record": (b"\0" * 8 + encode_record(owner()), "no checksum"),
    "torn in front": (encode_record(owner())[5:], "checksum"),
    "torn behind": (encode_record(owner())[:-9] + b"\n", "wrong checksum"),
    "no blank": (encode_record(owner()).replace(b" ", b"_", 1), "wrong checksum"),
    "one bit": (encode_record(owner()).replace(b'"pid":10', b'"pid":11'), "wrong checksum"),
    "two in one line": (encode_record(owner())[:-1] + encode_record(owner()), "wrong checksum"),
    "no JSON": (line(b"{kind: owner}"), "no record"),
    "JSON but no object": (line(b"[1,2]"), "no record"),
    "no kind": (line(b'{"at":1,"mono":1}'), "no record"),
    "a kind that is no word": (line(b'{"kind":7,"at":1,"mono":1}'), "no record"),
    "a missing field": (line(b'{"kind":"gone","at":1,"mono":1,"run":0}'), "bad gone record"),
    "a wrong type": (line(b'{"kind":"gone","at":1,"mono":1,"process":"p","run":"0"}'), "bad gone record"),
    "an unknown state": (line(b'{"kind":"task","at":1,"mono":1,"state":"SLEEPING"}'), "bad task record"),
    "not UTF-8": (line(b'{"kind":"gone","at":1,"mono":1,"process":"\xff","run":0}'), "bad gone record"),
    "nested too deep": (
        line(b'{"kind":"gone","at":1,"mono":1,"process":"p","run":0,"x":' + b"[" * 99_999 + b"]" * 99_999 + b"}"),
        "no record",
    ),
    "a number out of range": (line(b'{"kind":"gone","at":1,"mono":1,"process":"p","run":1e999}'), "bad gone record"),
}


@pytest.mark.parametrize(("damaged", "reason"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_reported_with_its_place_and_the_next_line_is_read(damaged: bytes, reason: str) -> None:
    before, after = encode_record(header()), encode_record(starting())
    found = read(before + damaged + after, offset=50)
    assert good(found) == [header(), starting()]
    (problem,) = bad(found)
    assert problem.offset == 50 + len(before)
    assert reason in problem.reason
    assert [x.offset for x in found] == [50, 50 + len(before), 50 + len(before) + len(damaged)]


def test_a_torn_tail_is_kept_until_its_end_comes() -> None:
    raw = encode_record(header()) + encode_record(starting())
    reader = RecordReader()
    assert good(reader.feed(raw[:-10])) == [header()]
    assert reader.offset == len(encode_record(header()))
    assert reader.pending == len(encode_record(starting())) - 10
    assert good(reader.feed(b"")) == []
    assert good(reader.feed(raw[-10:])) == [starting()]
    assert (reader.pending, reader.offset) == (0, len(raw))


def test_a_writer_separates_its_line_from_a_torn_one() -> None:
    """What a full disk leaves behind: half a line, then LF and the whole line again."""
    half = encode_record(starting())[:20]
    found = read(encode_record(header()) + half + b"\n" + encode_record(starting()))
    assert good(found) == [header(), starting()]
    assert [p.offset for p in bad(found)] == [len(encode_record(header()))]


def test_empty_lines_say_nothing_but_count() -> None:
    found = read(b"\n\n" + encode_record(owner()) + b"\n")
    assert [(x.offset, isinstance(x, Line)) for x in found] == [(2, True)]


# --- lines that are too long -----------------------------------------------------------------------------------------


@pytest.fixture
def short_lines(monkeypatch: pytest.MonkeyPatch) -> int:
    """Lines may have 200 bytes; the records used here have less."""
    monkeypatch.setattr(records, "MAX_LINE", 200)
    return 200


@pytest.mark.parametrize("step", [1, 7, 150, 201, 5000])
@pytest.mark.parametrize("size", [201, 399, 1000])
def test_a_huge_line_is_reported_with_its_place_however_it_comes(short_lines: int, size: int, step: int) -> None:
    first, last = encode_record(owner()), encode_record(starting())
    assert max(len(first), len(last)) < short_lines
    data = first + b"x" * size + b"\n" + last
    found = read(*(data[i : i + step] for i in range(0, len(data), step)))
    assert good(found) == [owner(), starting()]
    assert bad(found) == [BadLine(len(first), "longer than 200 bytes")]
    assert found[-1].offset == len(data) - len(last)


def test_a_line_of_just_the_greatest_length_is_read(short_lines: int) -> None:
    assert bad(read(b"x" * short_lines + b"\n")) == [BadLine(0, "no checksum")]


def test_of_a_huge_line_only_the_length_is_kept(short_lines: int) -> None:
    reader = RecordReader()
    for _ in range(1000):
        assert list(reader.feed(b"x" * 90)) == []
        assert len(reader._rest) <= short_lines
    assert (reader.pending, reader.offset) == (90_000, 0)


# --- however it is cut -----------------------------------------------------------------------------------------------

chunks = st.one_of(
    any_record().map(encode_record),
    any_record().map(encode_record),
    st.binary(max_size=20),
    st.sampled_from([b"\n", b"\0\0\0\n", b"junk\n", encode_record(owner())[:30]]),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(chunks, max_size=6).map(b"".join), st.data())
def test_the_same_is_read_however_the_bytes_are_cut(data: bytes, draw: st.DataObject) -> None:
    whole = read(data)
    assert read(*(data[i : i + 1] for i in range(len(data)))) == whole
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    assert read(*(data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True))) == whole
    for end in cuts:  # growing prefixes: what was read of a prefix stays read
        assert read(data[:end]) == whole[: len(read(data[:end]))]
    for found in whole:
        if isinstance(found, Line):
            assert data[found.offset : found.offset + len(found.raw)] == found.raw


@settings(deadline=None, max_examples=60)
@given(st.lists(any_record(), min_size=1, max_size=5), st.integers(0, 10_000), st.integers(0, 255))
def test_one_wrong_byte_costs_one_line_or_two(sequence: list[AnyRecord], place: int, value: int) -> None:
    """Two when the byte was a line's end."""
    raws = [encode_record(r) for r in sequence]
    data = bytearray(b"".join(raws))
    place %= len(data)
    ends = data[place] == ord("\n")
    data[place] = value
    survivors = good(read(bytes(data)))
    hit = next(i for i in range(len(raws)) if place < sum(map(len, raws[: i + 1])))
    untouched = sequence[:hit] + sequence[hit + 1 + ends :]
    assert [r for r in untouched if r not in survivors] == []
