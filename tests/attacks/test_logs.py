"""The logs lie in the attacker's sandbox: whatever is put in their place, root writes only where Mallory could, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.conftest import MakeVictim, Victim, root_only
from tests.thermos.runner.rig import process
from thermos.core.states import ProcessState, TaskState
from thermos.model import LoggerSpec, LogMode

pytestmark = root_only


def test_the_log_directory_is_a_link(make_victim: MakeVictim) -> None:
    victim = make_victim(process("p", "echo owned"))
    victim.logs.symlink_to(victim.vault)
    task = victim.finish(victim.own())
    assert task.state is TaskState.FAILED and victim.stages() == [("log", errno.ENOTDIR)]


@pytest.mark.parametrize("depth", ["p", "p/0"])
def test_a_directory_below_it_is_a_link(make_victim: MakeVictim, depth: str) -> None:
    victim = make_victim(process("p", "echo owned"))
    (victim.logs / depth).parent.mkdir(parents=True)
    (victim.logs / depth).symlink_to(victim.vault)
    victim.give(*(p for p in [victim.logs, *victim.logs.rglob("*")]))
    assert victim.finish(victim.own()).state is TaskState.FAILED
    assert victim.stages() == [("log", errno.ENOTDIR)]


def test_directories_are_exchanged_between_two_runs(make_victim: MakeVictim) -> None:
    """The first run's last act is to put a link to the vault in the place of its log directory."""
    line = "echo first; mv .logs/p .logs/q && ln -s ../../vault .logs/p; exit 1"
    victim = make_victim(process("p", line, max_failures=3))
    assert victim.finish(victim.own()).state is TaskState.FAILED
    assert victim.stages()[0] == ("", 0) and victim.stages()[1:] == [("log", errno.ENOTDIR)] * 2
    assert (victim.logs / "q" / "0" / "stdout").read_text() == "first\n"


def link(victim: Victim, path: Path) -> None:
    path.symlink_to(victim.vault / "stdout")


def hard_link(victim: Victim, path: Path) -> None:
    path.hardlink_to(victim.vault / "stdout")


def fifo(victim: Victim, path: Path) -> None:
    os.mkfifo(path)
    victim.give(path)


def device(victim: Victim, path: Path) -> None:
    os.mknod(path, 0o020666, os.makedev(1, 3))
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("plant", "error"),
    [(link, errno.ELOOP), (hard_link, errno.EACCES), (fifo, errno.ENXIO), (device, errno.EINVAL)],
)
def test_something_else_is_in_the_place_of_the_file(
    make_victim: MakeVictim, plant: Callable[[Victim, Path], None], error: int
) -> None:
    victim = make_victim(process("p", "echo owned"))
    directory = victim.logs / "p" / "0"
    directory.mkdir(parents=True)
    victim.give(victim.logs, victim.logs / "p", directory)
    plant(victim, directory / "stdout")
    task = victim.finish(victim.own())
    assert task.state is TaskState.FAILED and victim.stages() == [("log", error)]


def test_rotated_logs_are_exchanged_while_they_are_written(make_victim: MakeVictim) -> None:
    """Rotation renames and opens as Mallory, in the directory it began in."""
    line = (
        "ln -s ../../../../vault/stdout .logs/p/0/stdout.1; mv .logs/p .logs/q; ln -s ../../vault .logs/p;"
        "for i in {1..3000}; do echo a line of some length that fills the file soon, $i; done"
    )
    victim = make_victim(process("p", line, logger=LoggerSpec(mode=LogMode.ROTATE, log_size=20000, backups=2)))
    assert victim.finish(victim.own()).state is TaskState.SUCCESS
    names = {path.name for path in (victim.logs / "q" / "0").iterdir()}
    assert {"stdout", "stdout.1", "stderr"} <= names
    assert (victim.logs / "q" / "0" / "stdout").read_text().endswith("soon, 3000\n")


def test_logs_belong_to_the_user_and_the_checkpoint_to_root(make_victim: MakeVictim) -> None:
    line = "! echo x >> ../root/checkpoints/*/runner && ! echo '!detach' > ../root/checkpoints/*/wake; id -un"
    victim = make_victim(process("p", line))
    task = victim.finish(victim.own())
    assert task.processes["p"].runs[0].state is ProcessState.SUCCESS
    log = victim.logs / "p" / "0" / "stdout"
    assert log.read_text() == "nobody\n" and log.owner() == "nobody"
    for path in victim.paths.checkpoint.iterdir():
        assert path.owner() == "root" and not path.stat().st_mode & 0o022, path
    assert (victim.paths.checkpoint / "wake").stat().st_mode & 0o777 == 0o600


def test_pruning_follows_no_link_and_removes_nothing_of_roots(make_victim: MakeVictim) -> None:
    """Runs 0 and 1 are forgotten at run 101 and 102; by then they are links, and root's files."""
    line = (
        "echo >> n; n=$(wc -l < n); [ $n = 3 ] && { rm -r .logs/p/0; ln -s ../../../vault .logs/p/0; }; [ $n -lt 104 ]"
    )
    victim = make_victim(process("p", line, max_failures=1, daemon=True))
    task = victim.finish(victim.own())
    assert task.processes["p"].total >= 103 and task.processes["p"].forgotten[:2] == [0, 1]
    left = {path.name for path in (victim.logs / "p").iterdir()}
    assert "0" in left and "1" not in left and len(left) <= 103
