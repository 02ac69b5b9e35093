"""The journal: torn tails, full disks, strangers' files, compaction."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesos.core.acks import Record, launched, updated
from mesos.journal import COMPACT_BYTES, MAX_WAITING, CannotRecord, Journal, line_of, parse
from tests.mesos.executor.puppets import status, task
from thermos.errors import HostError

OWNER = Record(type="JOURNAL", framework_id="fw", executor_id="ex")


def records(count: int, size: int = 0) -> list[Record]:
    return [updated(status(f"t{n}", message="x" * size)) for n in range(count)]


class Disk:
    """Writes until it is full; `tear` writes so many bytes of the one that fails."""

    def __init__(self) -> None:
        self.full = False
        self.tear: int | None = None
        self.fired = 0

    def write(self, fd: int, data: bytes) -> int:
        if not self.full:
            return os.write(fd, data)
        self.fired += 1
        if self.tear is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data[: self.tear])


def opened(path: Path, snapshot: Callable[[], list[Record]] = list, disk: Disk | None = None) -> Journal:
    journal = Journal(path, OWNER, snapshot, (disk or Disk()).write)
    assert journal.read() == ([], [])
    return journal


def read(path: Path) -> tuple[list[Record], list[str]]:
    journal = Journal(path, OWNER, list)
    try:
        return journal.read()
    finally:
        journal.close()


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    wanted = [*records(3), launched(task("a"))]
    for record in wanted:
        journal.append(record)
    journal.close()
    assert read(tmp_path / "j") == (wanted, [])
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


def test_each_line_is_a_checksum_and_json_for_people_to_read(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    journal.append(records(1)[0])
    journal.close()
    lines = (tmp_path / "j").read_text().splitlines()
    assert [line.split(" ", 1)[1][:17] for line in lines] == ['{"type":"JOURNAL"', '{"type":"UPDATED"']


def test_a_torn_tail_costs_the_torn_record_only_wherever_it_is_torn(tmp_path: Path) -> None:
    wanted = records(3)
    data = b"".join(map(line_of, (OWNER, *wanted)))
    start = len(data) - len(line_of(wanted[-1]))
    for cut in range(start, len(data)):
        (tmp_path / "j").write_bytes(data[:cut])
        got, problems = read(tmp_path / "j")
        assert got == wanted[:2]
        assert len(problems) == (1 if cut > start else 0)
        assert (tmp_path / "j").read_bytes() == data[:start]  # cut off, so that the next line is whole


def test_after_a_torn_tail_it_goes_on(tmp_path: Path) -> None:
    first, second, third = records(3)
    data = b"".join(map(line_of, (OWNER, first, second)))
    (tmp_path / "j").write_bytes(data[:-5])
    journal = Journal(tmp_path / "j", OWNER, list)
    journal.read()
    journal.append(third)
    journal.close()
    assert read(tmp_path / "j") == ([first, third], [])


def test_damage_in_the_middle_costs_its_line_and_is_told(tmp_path: Path) -> None:
    wanted = records(3)
    lines = [line_of(record) for record in (OWNER, *wanted)]
    lines[2] = lines[2].replace(b"TASK_RUNNING", b"TASK_FAILED!")
    (tmp_path / "j").write_bytes(b"".join(lines))
    got, problems = read(tmp_path / "j")
    assert got == [wanted[0], wanted[2]] and problems == ["line 3 is damaged and does not count"]


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_upset_a_reader(noise: bytes, place: int) -> None:
    data = b"".join(map(line_of, (OWNER, *records(2))))
    got, _, end = parse(data[:place] + noise + data[place:])
    assert len(got) <= 3 and end <= len(data) + len(noise)


def test_somebody_elses_journal_is_not_ours(tmp_path: Path) -> None:
    other = Record(type="JOURNAL", framework_id="fw", executor_id="other")
    (tmp_path / "j").write_bytes(b"".join(map(line_of, (other, *records(2)))))
    journal = Journal(tmp_path / "j", OWNER, list)
    assert journal.read() == ([], ["it is somebody else's and begins anew"])
    journal.append(records(1)[0])
    journal.close()
    assert read(tmp_path / "j") == (records(1), [])


def test_files_of_others_are_refused_and_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"do not touch")
    (tmp_path / "link").symlink_to(precious)
    (tmp_path / "hard").hardlink_to(precious)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("link", "hard", "fifo", "folder", "absent/j"):
        with pytest.raises(HostError, match=f"^cannot use the journal .*{name}"):
            read(tmp_path / name)
    assert precious.read_bytes() == b"do not touch"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of somebody else")
def test_a_file_of_a_tasks_user_is_refused_and_left_alone(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    journal.write_bytes(line_of(OWNER))
    os.chown(journal, 65534, 65534)
    with pytest.raises(HostError, match=r"^cannot use the journal .*no file of this executor's"):
        read(journal)
    assert journal.read_bytes() == line_of(OWNER)


@pytest.mark.parametrize("tear", [None, 0, 1, 10, 60])
def test_on_a_full_disk_records_wait_in_memory_in_their_order(tmp_path: Path, tear: int | None) -> None:
    disk = Disk()
    journal = opened(tmp_path / "j", disk=disk)
    first, second, third, fourth = records(4)
    journal.append(first)
    disk.full, disk.tear = True, tear
    for record in (second, third):
        with pytest.raises(CannotRecord, match=r"cannot write the journal .*in memory only"):
            journal.append(record)
        assert journal.is_behind
        assert read(tmp_path / "j")[0] == [first]
    assert disk.fired == 2
    disk.full = False
    journal.append(fourth)
    assert not journal.is_behind
    journal.close()
    assert read(tmp_path / "j") == ([first, second, third, fourth], [])


def test_a_torn_line_that_cannot_be_cut_off_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    journal = opened(tmp_path / "j", disk=disk)
    disk.full, disk.tear = True, 20
    failed = []

    def ftruncate(fd: int, length: int) -> None:
        failed.append(length)
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", ftruncate)
        with pytest.raises(CannotRecord):
            journal.append(records(1)[0])
    assert failed
    disk.full = False
    journal.flush()
    journal.close()
    got, problems = read(tmp_path / "j")
    assert got == records(1) and problems == ["line 1 is damaged and does not count"]


def test_memory_is_bounded_however_long_the_disk_is_full(tmp_path: Path) -> None:
    disk, kept = Disk(), records(5)
    journal = opened(tmp_path / "j", lambda: kept, disk)
    disk.full = True
    for record in records(3 * MAX_WAITING):
        with pytest.raises(CannotRecord):
            journal.append(record)
        assert journal.waiting <= MAX_WAITING
    disk.full = False
    journal.flush()
    assert not journal.is_behind
    journal.close()
    assert read(tmp_path / "j") == (kept, [])
    assert not (tmp_path / "j.new").exists()


def test_history_is_dropped_when_it_is_most_of_the_file(tmp_path: Path) -> None:
    kept = records(3)
    journal = opened(tmp_path / "j", lambda: kept)
    largest = 0
    for record in records(2000, size=100):
        journal.append(record)
        largest = max(largest, (tmp_path / "j").stat().st_size)
    assert largest < 2 * COMPACT_BYTES
    journal.append(kept[0])
    journal.close()
    assert set(map(line_of, kept)) <= set((tmp_path / "j").read_bytes().splitlines(keepends=True))


@pytest.mark.parametrize("what", ["link", "hard link", "pipe", "file"])
def test_what_a_tasks_user_put_in_the_place_of_a_new_journal_is_neither_written_nor_kept(
    tmp_path: Path, what: str
) -> None:
    precious, place = tmp_path / "precious", tmp_path / "j.new"
    precious.write_text("precious")
    match what:
        case "link":
            place.symlink_to(precious)
        case "hard link":
            place.hardlink_to(precious)
        case "pipe":
            os.mkfifo(place)
        case "file":
            place.write_text("x")
            place.chmod(0o666)
    kept = records(3)
    journal = opened(tmp_path / "j", lambda: kept)
    while (tmp_path / "j").stat().st_size <= COMPACT_BYTES:
        journal.append(records(1, size=5000)[0])
    journal.append(kept[0])  # with it the file is written anew
    journal.close()
    assert precious.read_text() == "precious"
    info = (tmp_path / "j").lstat()
    assert info.st_size < COMPACT_BYTES and info.st_nlink == 1 and info.st_mode == 0o100600
    assert not place.exists()


def test_a_compaction_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    disk, wanted = Disk(), []
    journal = opened(tmp_path / "j", lambda: list(wanted), disk)
    while not disk.fired:
        record = updated(status(f"t{len(wanted)}", message="x" * 500))
        wanted.append(record)
        disk.full = (tmp_path / "j").stat().st_size > COMPACT_BYTES
        try:
            journal.append(record)
        except CannotRecord:
            pass
    disk.full = False
    journal.flush()
    assert not journal.is_behind and not (tmp_path / "j.new").exists()
    journal.close()
    assert read(tmp_path / "j") == (wanted, [])


@settings(max_examples=60)
@given(data=st.data())
def test_a_crash_at_any_byte_of_any_write_keeps_all_before_it(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("j") / "j"
    wanted: list[Record] = []

    class Crash(Exception):
        """The process is gone in the middle of a write."""

    left = data.draw(st.integers(0, 3000))

    def write(fd: int, piece: bytes) -> int:
        nonlocal left
        if len(piece) > left:
            os.write(fd, piece[:left])
            raise Crash
        left -= len(piece)
        return os.write(fd, piece)

    journal = Journal(path, OWNER, lambda: wanted, write)
    journal.read()
    for record in records(30, size=50):
        try:
            journal.append(record)
        except Crash:
            break
        wanted.append(record)
    journal.close()
    got, _ = read(path)
    assert got == wanted
