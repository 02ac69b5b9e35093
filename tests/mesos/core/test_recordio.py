"""The framing: whole records out of any pieces, and an early, bounded end for everything else."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.recordio import MAX_DIGITS, BadFraming, RecordReader, frame


def feed_all(reader: RecordReader, stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream in pieces that end at `cuts`."""
    records: list[bytes] = []
    at = 0
    for cut in [*sorted(c % (len(stream) + 1) for c in cuts), len(stream)]:
        records += reader.feed(stream[at:cut])
        at = cut
    return records


@given(st.lists(st.binary(max_size=300), max_size=10), st.lists(st.integers(0, 10_000), max_size=30))
def test_any_pieces_give_the_records_in_order(records: list[bytes], cuts: list[int]) -> None:
    reader = RecordReader()
    assert feed_all(reader, b"".join(map(frame, records)), cuts) == records
    reader.close()
    assert reader.pending == 0


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=3), st.integers(1, 10_000))
def test_a_stream_that_ends_early_says_so(records: list[bytes], missing: int) -> None:
    stream = b"".join(map(frame, records))
    cut = stream[: -(missing % len(frame(records[-1])) or 1)]
    reader = RecordReader()
    assert reader.feed(cut) == records[:-1]
    if cut == b"".join(map(frame, records[:-1])):
        reader.close()
    else:
        with pytest.raises(BadFraming, match="ended inside"):
            reader.close()


@pytest.mark.parametrize(
    "stream",
    [
        b"-1\n",
        b"x",
        b"\n",
        b"1 \nx",
        b"+3\nabc",
        b"0x10\n",
        b"1" * (MAX_DIGITS + 1),
        "١\n".encode(),
        b"<html>",
        b"12a\n",
    ],
    ids=lambda s: s[:12].decode("latin-1"),
)
def test_what_is_no_length_ends_the_stream(stream: bytes) -> None:
    with pytest.raises(BadFraming, match="no length of a record"):
        RecordReader().feed(stream)


def test_a_record_beyond_the_limit_is_refused_by_its_header_alone() -> None:
    reader = RecordReader(max_record=1000)
    assert reader.feed(frame(b"x" * 1000)) == [b"x" * 1000]
    with pytest.raises(BadFraming, match="a record of 1001 bytes; 1000 are allowed"):
        reader.feed(b"1001\n")
    with pytest.raises(BadFraming, match="are allowed"):
        RecordReader().feed(b"18446744073709551615\n")


def test_an_empty_record_is_a_record() -> None:
    assert RecordReader().feed(b"0\n0\n") == [b"", b""]


@given(st.binary(max_size=100), st.lists(st.integers(0, 200), max_size=5))
def test_noise_never_breaks_anything_else(noise: bytes, cuts: list[int]) -> None:
    try:
        records = feed_all(RecordReader(max_record=50), noise, cuts)
    except BadFraming:
        return
    assert all(len(record) <= 50 for record in records)


def test_memory_is_bounded_by_the_record_and_what_was_read_is_forgotten() -> None:
    reader = RecordReader()
    record = frame(b"x" * 10_000)
    tracemalloc.start()
    try:
        for _ in range(2_000):  # 20 MB
            reader.feed(record[:7_000])
            reader.feed(record[7_000:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reader.pending == 0
    assert peak < 1_000_000


def test_memory_is_bounded_where_no_piece_ever_ends_with_a_record() -> None:
    reader = RecordReader()
    stream = frame(b"x" * 10_000) * 2_000  # 20 MB
    tracemalloc.start()
    try:
        count = sum(len(reader.feed(stream[at : at + 9_000])) for at in range(0, len(stream), 9_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2_000
    assert peak < 1_000_000
