"""Logs across rotations: every byte once and in order, whatever the writer did between two looks."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from thermos.monitor.logs import Log, LogReader, log_of, open_below


class Writer:
    """A process's log as a coordinator keeps it."""

    def __init__(self, path: Path, backups: int = 5) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.backups = path, backups
        self.file = path.open("ab", buffering=0)

    def write(self, text: bytes) -> None:
        self.file.write(text)

    def part(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def shift(self) -> None:
        """The first half of a rotation: the current file is `.1` now, and there is no other."""
        for number in range(self.backups, 0, -1):
            if self.part(number).exists():
                if number == self.backups:
                    self.part(number).unlink()
                else:
                    self.part(number).rename(self.part(number + 1))
        self.path.rename(self.part(1))

    def reopen(self) -> None:
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    def rotate(self) -> None:
        self.shift()
        self.reopen()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "p" / "0" / "stdout")
    yield writer
    writer.file.close()


def reader_of(writer: Writer, lines: int | None = None) -> LogReader:
    base = writer.path.parents[2]
    return LogReader(Log(base, writer.path.relative_to(base)), lines)


def rest(reader: LogReader, size: int = 7) -> bytes:
    data = b""
    while more := reader.read(size):
        data += more
    return data


@pytest.mark.parametrize(
    ("lines", "expected"),
    [(0, b""), (1, b"5\n"), (2, b"4\n5\n"), (3, b"3\n4\n5\n"), (5, b"1\n2\n3\n4\n5\n"), (9, b"1\n2\n3\n4\n5\n"),
     (None, b"1\n2\n3\n4\n5\n")],
)  # fmt: skip
def test_the_last_lines_across_files(writer: Writer, lines: int | None, expected: bytes) -> None:
    writer.write(b"1\n2\n")
    writer.rotate()
    writer.write(b"3\n")
    writer.rotate()
    writer.write(b"4\n5\n")
    assert rest(reader_of(writer, lines)) == expected


def test_an_unfinished_last_line_is_a_line(writer: Writer) -> None:
    writer.write(b"1\n2\nhalf")
    assert rest(reader_of(writer, 1)) == b"half"
    assert rest(reader_of(writer, 2)) == b"2\nhalf"


def test_last_lines_of_a_long_file_need_few_bytes(writer: Writer) -> None:
    line = b"x" * 99 + b"\n"
    writer.write(line * 5000)
    assert rest(reader_of(writer, 700), 1 << 20) == line * 700


def test_it_goes_on_where_it_stopped(writer: Writer) -> None:
    writer.write(b"old\n")
    reader = reader_of(writer, 0)
    assert rest(reader) == b""
    writer.write(b"new ")
    assert rest(reader) == b"new "
    writer.write(b"line\n")
    assert rest(reader) == b"line\n"


@pytest.mark.parametrize("rotations", [1, 2, 4])
def test_any_number_of_rotations_loses_nothing(writer: Writer, rotations: int) -> None:
    writer.write(b"read\n")
    reader = reader_of(writer)
    assert rest(reader) == b"read\n"
    expected = b""
    for number in range(rotations):
        text = b"%d before\n" % number
        writer.write(text)
        expected += text
        writer.rotate()
    writer.write(b"now\n")
    assert rest(reader) == expected + b"now\n"
    assert not reader.lost


def test_what_was_rotated_away_is_told_and_the_rest_is_read(writer: Writer) -> None:
    writer.write(b"read\n")
    reader = reader_of(writer)
    rest(reader)
    writer.write(b"still open\n")
    for number in range(8):
        writer.rotate()
        writer.write(b"%d\n" % number)
    assert rest(reader) == b"still open\n" + b"".join(b"%d\n" % n for n in range(2, 8))
    assert reader.lost


def test_between_the_two_steps_of_a_rotation_nothing_is_new(writer: Writer) -> None:
    writer.write(b"a\n")
    reader = reader_of(writer)
    rest(reader)
    writer.shift()
    assert rest(reader) == b""
    writer.write(b"late\n")  # into the renamed file
    writer.reopen()
    writer.write(b"b\n")
    assert rest(reader) == b"late\nb\n"


def test_a_missing_number_is_a_rotation_under_way(writer: Writer) -> None:
    writer.write(b"a\n")
    reader = reader_of(writer)
    rest(reader)
    writer.rotate()
    writer.write(b"b\n")
    writer.part(1).rename(writer.part(2))  # .1 has just moved up, the current file not yet
    assert rest(reader) == b"b\n"
    assert not reader.lost


def test_a_truncated_log_is_read_from_its_start(writer: Writer) -> None:
    writer.write(b"a long line\n")
    reader = reader_of(writer)
    rest(reader)
    writer.path.open("wb").close()
    writer.write(b"new\n")
    assert rest(reader) == b"new\n"


def test_a_log_that_comes_later(tmp_path: Path) -> None:
    reader = LogReader(Log(tmp_path, Path("p/0/stdout")), 10)
    assert reader.read() == b""
    writer = Writer(tmp_path / "p" / "0" / "stdout")
    writer.write(b"here\n")
    assert rest(reader) == b"here\n"
    writer.file.close()


def test_a_removed_log_is_the_end_of_it(writer: Writer) -> None:
    writer.write(b"a\n")
    reader = reader_of(writer)
    writer.path.unlink()
    assert rest(reader) == b"a\n"
    assert reader.read() == b""


def test_closing_leaves_no_descriptors(writer: Writer) -> None:
    before = open_files(writer)
    for _ in range(5):
        writer.write(b"x\n")
        writer.rotate()
    reader = reader_of(writer)
    rest(reader)
    for _ in range(3):
        writer.write(b"y\n")
        writer.rotate()
    rest(reader)
    assert len(open_files(writer)) > len(before)
    reader.close()
    assert open_files(writer) == before


def open_files(writer: Writer) -> set[str]:
    """Our descriptors of this log (others of this process come and go)."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            if str(path.readlink()).startswith(str(writer.path.parent)):
                found.add(path.name)
    return found


@pytest.mark.parametrize("seed", range(30))
def test_random_writers_and_readers(tmp_path: Path, seed: int) -> None:
    """As long as the reader looks before a file falls off, every byte comes once and in order."""
    chance = random.Random(seed)
    writer = Writer(tmp_path / "p" / "0" / "stdout", backups=3)
    reader = reader_of(writer)
    written = got = b""
    since = 0
    for step in range(300):
        action = chance.random()
        if action < 0.5:
            text = b"%d %s\n" % (step, b"x" * chance.randrange(30))
            writer.write(text)
            written += text
        elif action < 0.7 and since < 3:
            writer.rotate()
            since += 1
        else:
            got += rest(reader, chance.choice((1, 5, 64)))
            since = 0
    got += rest(reader)
    assert got == written
    reader.close()
    writer.file.close()


def test_links_and_other_things_are_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    base = tmp_path / "sandbox"
    (base / "p").mkdir(parents=True)
    (base / "p" / "link").symlink_to(secret)
    (base / "away").symlink_to(tmp_path)
    os.mkfifo(base / "p" / "fifo")
    (base / "p" / "dir").mkdir()
    for below in ("p/link", "away/secret", "p/fifo", "p/dir", "p/missing"):
        with pytest.raises(OSError):
            os.close(open_below(base, Path(below)))
        assert Log(base, Path(below)).open() is None


def test_where_a_log_is(tmp_path: Path) -> None:
    assert log_of("/s", "/s/.logs", "p", 3, "stderr") == Log(Path("/s"), Path(".logs/p/3/stderr"))
    assert log_of("/s", "/var/log/x", "p", 3, "stdout") == Log(Path("/var/log/x"), Path("p/3/stdout"))
