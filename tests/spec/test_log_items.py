"""Gaps in the tests of logs: items 89 to 92 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.e2e.harness import Host, Task

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)

MEBIBYTE = 1 << 20


def files(task: Task, process: str) -> dict[str, Path]:
    place = task.sandbox / ".logs" / process / "0"
    return {path.name: path for path in place.iterdir()} if place.exists() else {}


@both_coordinators
def test_90_a_standard_log_of_200_mb_is_one_file(host: Host) -> None:
    """The first 200 MB are a hole, so that the test is quick; what is written behind them would rotate."""
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'truncate -s 200M /proc/self/fd/1; head -c 1M /dev/zero; echo; echo end')
export(Task(name = 'big', processes = [p]))
"""
    )
    task.wait_end("SUCCESS")
    kept = files(task, "p")
    assert set(kept) == {"stdout", "stderr"}
    assert kept["stdout"].stat().st_size == 201 * MEBIBYTE + len("\nend\n")
    with kept["stdout"].open("rb") as log:
        log.seek(-4, 2)
        assert log.read() == b"end\n"


def test_91_rotation_by_flag_counts_in_mebibytes_and_keeps_so_many(host: Host) -> None:
    """5 MiB in lines of 64 bytes, 1 MiB a file, two backups: the last three mebibytes are there, all older ones not."""
    count = 5 * MEBIBYTE // 64
    task = host.run(
        f"p = Process(name = 'p', cmdline = 'seq -f %063.0f 1 {count}')\n"
        "export(Task(name = 'rotating', processes = [p]))",
        *("--process_logger_mode", "rotate", "--rotate_log_size_mb", "1", "--rotate_log_backups", "2"),
    )
    task.wait_end("SUCCESS")
    kept = files(task, "p")
    assert {"stdout", "stdout.1", "stdout.2"} == {name for name in kept if name.startswith("stdout")}
    for name in ("stdout.1", "stdout.2"):
        assert kept[name].stat().st_size == MEBIBYTE
    lines = b"".join(kept[name].read_bytes() for name in ("stdout.2", "stdout.1", "stdout")).splitlines()
    numbers = [int(line) for line in lines]
    assert numbers == list(range(numbers[0], count + 1))


@both_coordinators
def test_92_the_logger_of_a_process_replaces_the_flags_as_a_whole(host: Host) -> None:
    """Not field by field: a Logger that only says `file` is not rotated although the flags say so."""
    task = host.run(
        r"""
text = 'echo from-{{name}}; head -c 3M /dev/zero | tr "\\0" "x"'
processes = [
  Process(name = 'console', cmdline = 'echo from-{{name}}', logger = Logger(destination = 'console')),
  Process(name = 'plain', cmdline = text, logger = Logger()),
  Process(name = 'none', cmdline = text, logger = Logger(destination = 'none')),
  Process(name = 'flags', cmdline = text),
]
export(SequentialTask(name = 'loggers', processes = processes))
""",
        *("--process_logger_destination", "both", "--process_logger_mode", "rotate"),
        *("--rotate_log_size_mb", "1", "--rotate_log_backups", "1"),
    )
    task.wait_end("SUCCESS")
    assert {name for name in files(task, "flags") if name.startswith("stdout")} == {"stdout", "stdout.1"}
    assert set(files(task, "plain")) == {"stdout", "stderr"}
    assert files(task, "plain")["stdout"].stat().st_size > 3 * MEBIBYTE
    assert files(task, "none") == files(task, "console") == {}
    said = [name for name in ("console", "plain", "none", "flags") if f"from-{name}\n" in host.said()]
    assert said == ["console", "flags"], "only these two speak to the console"


@pytest.mark.root
def test_89_everything_below_the_log_directory_is_the_users(open_host: Host) -> None:
    """The original left the directories above a run's logs to root, so that the user could not tidy up."""
    user = pwd.getpwnam("nobody")

    def give(task: Task) -> None:
        os.chown(task.sandbox, user.pw_uid, user.pw_gid)

    task = open_host.run(
        "export(Task(processes = [Process(name = 'p', cmdline = 'echo hello; rm -r .logs')]))",
        *("--user", "nobody", "--process_logger_mode", "rotate"),
        before=give,
    )
    task.wait_end("SUCCESS")
    assert not (task.sandbox / ".logs").exists(), "the user may remove them"
    kept = open_host.run(
        "export(Task(processes = [Process(name = 'p', cmdline = 'echo hello')]))",
        *("--user", "nobody"),
        task_id="kept",
        before=give,
    )
    kept.wait_end("SUCCESS")
    found = [kept.sandbox / ".logs", *(kept.sandbox / ".logs").rglob("*")]
    assert sorted(path.name for path in found) == [".logs", "0", "p", "stderr", "stdout"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in found} == {(user.pw_uid, user.pw_gid)}
