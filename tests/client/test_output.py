"""Writing without waiting for the reader."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.output import Output


class Pipe:
    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def read(self) -> bytes:
        data = b""
        try:
            while chunk := os.read(self.reader, 1 << 16):
                data += chunk
        except BlockingIOError:
            pass  # all that is there
        return data

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            try:
                os.close(fd)
            except OSError:
                pass  # a test closed it


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_lines_come_as_they_are_written(pipe: Pipe) -> None:
    output = Output(pipe.writer)
    output.write("one\n")
    assert pipe.read() == b"one\n"
    assert not output.pending
    output.close()


def test_a_reader_that_pauses_stops_nobody_and_gets_all_later(pipe: Pipe) -> None:
    output = Output(pipe.writer)
    lines = [f"{number:099}\n" for number in range(2000)]  # 200 kB into a pipe of 64 KiB
    for line in lines:
        output.write(line)
    assert output.pending
    read = pipe.read()
    while output.pending:
        output.flush()
        read += pipe.read()
    assert read.decode() == "".join(lines)
    assert os.get_blocking(pipe.writer), "the flag of what others share is untouched"
    output.close()


def test_what_nobody_reads_is_bounded_and_the_gap_is_told(pipe: Pipe) -> None:
    output = Output(pipe.writer)
    for _ in range(60):
        output.write("x" * 99_999 + "\n")
    read = pipe.read()
    while output.pending:
        output.flush()
        read += pipe.read()
    output.write("again\n")
    lines = (read + pipe.read()).decode().splitlines()
    assert len(lines) < 60
    assert lines[-2:] == [f"… {60 - len(lines) + 2} lines were dropped: nobody read them", "again"]
    output.close()


def test_a_reader_that_is_gone_is_no_error(pipe: Pipe) -> None:
    output = Output(pipe.writer)
    os.close(pipe.reader)
    output.write("into the void\n")
    output.write("again\n")
    assert not output.pending
    output.close()


def test_a_file_is_written_at_its_place(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before\n")
    output = Output(fd)
    output.write("ours\n")
    os.write(fd, b"after\n")
    output.close()
    os.close(fd)
    assert (tmp_path / "out").read_text() == "before\nours\nafter\n"
