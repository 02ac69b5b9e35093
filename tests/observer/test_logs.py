"""Logs: pages back through rotated files, following, searching, jumping to a time. Real files, no server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from observer import logs
from observer.files import MAX_CHUNK, MAX_LINES, NoSuchFile, opened, read_chunk, read_lines, read_page_before
from observer.logs import (
    Log,
    follow_from,
    full_stamp,
    list_parts,
    newer_of,
    offset_at_time,
    older_of,
    search,
    tail_page,
)
from tests.observer.build import Builder, TaskBuilder


@pytest.fixture
def task(tmp_path: Path) -> TaskBuilder:
    return Builder(tmp_path / "root").task("t").start("main")


def log_of(task: TaskBuilder) -> Log:
    task.log_dir.mkdir(exist_ok=True)
    return Log(task.log_dir.resolve(), ("main", "0", "stdout"))


class Follower:
    """What a page that follows a log does."""

    def __init__(self, log: Log) -> None:
        self.log, self.inode, self.offset, self.text = log, 0, 0, ""
        self.gaps = self.restarts = 0

    def pull(self) -> str:
        fresh = ""
        for _ in range(100):
            told = follow_from(self.log, self.inode, self.offset, 64)
            self.gaps += told.gap
            self.restarts += told.restarted
            if told.chunk is None:
                return fresh
            self.inode, self.offset = told.chunk.inode, told.chunk.end
            fresh += told.chunk.text
            if not told.more:
                break
        self.text += fresh
        return fresh


class TestFollow:
    def test_it_grows(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "one\n")
        follower = Follower(log_of(task))
        assert follower.pull() == "one\n"
        assert follower.pull() == ""
        task.log("main", 0, "stdout", "two\n" * 100)
        assert follower.pull() == "two\n" * 100

    @pytest.mark.parametrize("times", [1, 2, 5])
    def test_nothing_is_lost_by_rotations(self, task: TaskBuilder, times: int) -> None:
        written = "begin\n"
        task.log("main", 0, "stdout", written)
        follower = Follower(log_of(task))
        follower.pull()
        for number in range(times):
            line = f"{number}" * 150 + "\n"
            task.log("main", 0, "stdout", line)
            task.rotate("main", 0, "stdout")
            written += line
        task.log("main", 0, "stdout", "end\n")
        follower.pull()
        assert follower.text == written + "end\n"
        assert (follower.gaps, follower.restarts) == (0, 0)

    def test_an_empty_current_file_after_a_rotation(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "one\n")
        follower = Follower(log_of(task))
        follower.pull()
        task.rotate("main", 0, "stdout")
        task.log("main", 0, "stdout", "")
        assert follower.pull() == ""
        task.log("main", 0, "stdout", "two\n")
        assert follower.pull() == "two\n"

    def test_a_file_that_was_rotated_away_is_a_gap(self, task: TaskBuilder) -> None:
        path = task.log("main", 0, "stdout", "lost\n")
        follower = Follower(log_of(task))
        follower.pull()
        keep = path.with_name("keep")  # its inode must not be used again
        path.rename(keep)
        task.log("main", 0, "stdout", "oldest\n", rotated=1)
        task.log("main", 0, "stdout", "newest\n")
        assert follower.pull() == "oldest\nnewest\n"
        assert follower.gaps == 1

    def test_a_file_that_shrank_is_read_anew(self, task: TaskBuilder) -> None:
        path = task.log("main", 0, "stdout", "a long first text\n")
        follower = Follower(log_of(task))
        follower.pull()
        path.write_text("new\n")
        assert follower.pull() == "new\n"
        assert follower.restarts == 1

    def test_a_deleted_log_is_gone_and_may_come_back(self, task: TaskBuilder) -> None:
        path = task.log("main", 0, "stdout", "one\n")
        follower = Follower(log_of(task))
        follower.pull()
        path.rename(path.with_name("away"))
        assert follow_from(follower.log, follower.inode, follower.offset).chunk is None
        task.log("main", 0, "stdout", "back\n")
        assert follower.pull() == "back\n"

    def test_there_is_no_log_yet(self, task: TaskBuilder) -> None:
        assert follow_from(log_of(task), 0, 0).chunk is None
        assert tail_page(log_of(task)) is None


class TestPages:
    def test_back_through_rotated_files_to_the_beginning(self, task: TaskBuilder) -> None:
        written = []
        for number in range(4):
            lines = [f"file {number} line {line}\n" for line in range(40)]
            written += lines
            task.log("main", 0, "stdout", "".join(lines))
            if number < 3:
                task.rotate("main", 0, "stdout")
        log = log_of(task)
        parts = list_parts(log)
        assert [part.part for part in parts] == [0, 1, 2, 3]
        page = tail_page(log, 200)
        seen: list[str] = []
        steps = 0
        while page is not None:
            part, chunk = page
            assert len(chunk.text) <= 200
            seen = chunk.text.splitlines(keepends=True) + seen
            older = older_of(log, parts, part, chunk.offset, 200)
            page = (older[0], logs.page_at(log, *older, chunk_length(older, part, chunk.offset))) if older else None
            steps += 1
        assert seen == written
        assert steps > 10

    def test_forward_again(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "old 1\nold 2\n")
        task.rotate("main", 0, "stdout")
        task.log("main", 0, "stdout", "new\n")
        log, parts = log_of(task), list_parts(log_of(task))
        first = logs.page_at(log, 1, 0, 8)
        assert (first.text, newer_of(parts, 1, first.end)) == ("old 1\n", (1, 6))
        assert newer_of(parts, 1, 12) == (0, 0)
        assert newer_of(parts, 0, 4) is None

    def test_a_line_longer_than_a_page(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "x" * 1000)
        page = tail_page(log_of(task), 100)
        assert page is not None
        assert (page[1].offset, page[1].length) == (900, 100)

    def test_offsets_beyond_everything(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "abc")
        log = log_of(task)
        assert logs.page_at(log, 0, 10**15).text == ""
        assert logs.page_at(log, 0, 10**15, before=True).text == "abc"
        with pytest.raises(NoSuchFile):
            logs.page_at(log, 7, 0)


def chunk_length(older: tuple[int, int], part: int, begin: int) -> int:
    """A page back ends where the one we have begins."""
    if older[0] == part:
        return begin - older[1]
    return 10**6


class TestSearch:
    def test_newest_first_through_all_parts(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "Needle old\nhay\n")
        task.rotate("main", 0, "stdout")
        task.log("main", 0, "stdout", "hay\nneedle new\nhay\nneedle newest")
        found = search(log_of(task), "NEEDLE")
        assert [(hit.part, hit.offset, hit.text) for hit in found.hits] == [
            (0, 19, "needle newest"),
            (0, 4, "needle new"),
            (1, 0, "Needle old"),
        ]
        assert found.part is None

    def test_work_is_bounded_and_can_be_continued(self, task: TaskBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(logs, "SEARCH_BYTES", 1000)
        monkeypatch.setattr(logs, "SEARCH_HITS", 7)
        for number in range(3):
            task.log("main", 0, "stdout", "".join(f"{number}-{line} needle\n" for line in range(50)))
            if number < 2:
                task.rotate("main", 0, "stdout")
        log = log_of(task)
        hits: list[str] = []
        part: int | None = 0
        offset: int | None = None
        rounds = 0
        while part is not None:
            found = search(log, "needle", part, offset)
            assert found.searched <= 1100
            hits += [hit.text for hit in found.hits]
            part, offset = found.part, found.offset
            rounds += 1
        assert hits == [f"{number}-{line} needle" for number in (2, 1, 0) for line in range(49, -1, -1)]
        assert rounds > 10

    def test_short_lines_cost_no_more_than_long_ones(self, task: TaskBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
        """A log of empty lines is looked through in linear time, so many lines at once."""
        task.log("main", 0, "stdout", "needle\n" + "\n" * 1_000_000)
        begun = time.process_time()
        found = search(log_of(task), "needle")
        assert time.process_time() - begun < 3
        assert (found.hits, found.part) == ([], 0)
        assert found.searched == logs.SEARCH_LINES
        monkeypatch.setattr(logs, "SEARCH_LINES", 2_000_000)
        assert [hit.offset for hit in search(log_of(task), "needle").hits] == [0]

    def test_a_long_line_is_shown_around_the_hit(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "a" * 100_000 + "needle" + "b" * 100_000)
        hit = search(log_of(task), "needle").hits[0]
        assert "needle" in hit.text
        assert len(hit.text) < 2100

    @settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.sampled_from([b"x", b"needle", b"\n", b"\xff", b"ab\n", b"n" * 300])), st.integers(1, 400))
    def test_as_a_plain_search_finds_it(self, tmp_path: Path, pieces: list[bytes], block: int) -> None:
        text = b"".join(pieces)
        directory = tmp_path / "main" / "0"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "stdout").write_bytes(text)
        found = search(Log(tmp_path.resolve(), ("main", "0", "stdout")), "needle")
        expected, at = [], 0
        for line in text.splitlines(keepends=True) if b"\r" not in text else []:
            if b"needle" in line:
                expected.append(at)
            at += len(line)
        assert sorted(hit.offset for hit in found.hits) == expected


class TestTime:
    def test_the_first_line_at_or_after_a_moment(self, task: TaskBuilder) -> None:
        stamp = "2026-11-22 {:02}:{:02}:00 message\n  a line without a time\n"
        task.log("main", 0, "stdout", "".join(stamp.format(9, minute) for minute in range(60)))
        task.rotate("main", 0, "stdout")
        task.log("main", 0, "stdout", "".join(stamp.format(10, minute) for minute in range(60)))
        log = log_of(task)

        def line(time: str) -> str:
            place = offset_at_time(log, time)
            assert place is not None
            return logs.page_at(log, *place).text.splitlines()[0]

        assert line("2026-11-22 10:30:00") == "2026-11-22 10:30:00 message"
        assert line("2026-11-22T09:14:30") == "2026-11-22 09:15:00 message"
        assert line("2026-11-22 09:59:30") == "2026-11-22 10:00:00 message"
        assert line("2020-01-01 00:00") == "2026-11-22 09:00:00 message"
        assert offset_at_time(log, "2026-11-22 23:00:00") is None
        assert offset_at_time(log, "yesterday") is None

    def test_a_log_without_times(self, task: TaskBuilder) -> None:
        task.log("main", 0, "stdout", "nothing\n" * 100)
        assert offset_at_time(log_of(task), "10:00:00") is None

    def test_what_people_type(self) -> None:
        assert full_stamp("10:30", 0.0) == "1970-01-01 10:30:00"
        assert full_stamp(" 2026-11-22T10:30:59Z ", 0.0) == "2026-11-22 10:30:59"
        assert full_stamp("10", 0.0) == full_stamp("١٠:٣٠", 0.0) == ""


def test_chunks_at_the_edges(tmp_path: Path) -> None:
    """Item 128: -1 is the end, lengths are raw bytes, broken text is replaced."""
    (tmp_path / "f").write_bytes("aü".encode() + b"\xff")
    with opened(tmp_path.resolve(), ("f",)) as file:
        assert (read_chunk(file, -1, -1).offset, read_chunk(file, -1, 10).length) == (4, 0)
        assert read_chunk(file, 0, 2).text == "a\ufffd"
        assert read_chunk(file, 1, -1).text == "ü\ufffd"
        assert read_chunk(file, 9, 9).length == 0


def test_a_page_has_so_many_lines_and_none_is_lost(tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % number for number in range(3 * MAX_LINES)) + b"open"
    (tmp_path / "log").write_bytes(text)
    forwards, backwards, end = [], [], len(text)
    with opened(tmp_path, ("log",)) as file:
        while sum(map(len, forwards)) < len(text):
            forwards.append(read_lines(file, sum(map(len, forwards)), MAX_CHUNK).text)
        while end:
            page = read_page_before(file, end, MAX_CHUNK)
            backwards.append(page.text)
            assert page.end == end
            end = page.offset
    assert "".join(forwards).encode() == "".join(reversed(backwards)).encode() == text
    for pages in (forwards, backwards):
        assert len(pages) in (3, 4)
        assert all(page.count("\n") <= MAX_LINES for page in pages)
        assert all(page.endswith(("\n", "open")) for page in pages)
