"""Owning a task: what is begun, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.thermos.host.conftest import MakeStage
from tests.thermos.host.puppets import Stage, kinds, process
from thermos.core.records import FORMAT, Header, Released, encode_record
from thermos.core.states import TaskState
from thermos.errors import ConfigError, HostError, NotOwner, UserError
from thermos.host.users import Identity
from thermos.model import decode_task
from thermos.paths import TaskPaths


@pytest.fixture
def stage(make_stage: MakeStage) -> Stage:
    return make_stage(process("a"), process("b"))


def test_the_task_on_disk_is_the_task(stage: Stage) -> None:
    stage.own()
    assert decode_task(stage.paths.active.read_bytes()) == stage.spec
    assert kinds(stage.records())[:3] == ["header", "owner", "task"]


def test_a_crash_between_the_task_and_its_header_is_a_new_beginning(stage: Stage) -> None:
    stage.paths.active.parent.mkdir(parents=True)
    stage.paths.active.write_bytes(b"half a ta")
    stage.own()
    assert decode_task(stage.paths.active.read_bytes()) == stage.spec
    assert stage.started() == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("cut", [1, 50, -1])
def test_a_crash_in_the_header_is_a_new_beginning(stage: Stage, cut: int) -> None:
    stage.own()
    stage.crash()
    first = stage.paths.runner.read_bytes().splitlines(keepends=True)[0]
    stage.paths.runner.write_bytes(first[:cut])
    stage.kernel.spawned.clear()
    stage.own()
    assert kinds(stage.records())[:2] == ["header", "owner"]
    assert stage.started() == [("a", 0), ("b", 0)]


def test_a_finished_id_is_refused(stage: Stage) -> None:
    stage.own()
    for name in "ab":
        stage.puppet(name).come_up()
        stage.puppet(name).exited(0)
    assert stage.look().done
    with pytest.raises(NotOwner, match="task t-1 is finished; choose another id or `thermos gc`"):
        stage.own()


def test_a_crash_before_the_task_was_filed_is_made_good(stage: Stage) -> None:
    stage.own()
    for name in "ab":
        stage.puppet(name).come_up()
        stage.puppet(name).exited(0)
    stage.look()
    stage.paths.finished.rename(stage.paths.active)
    runner = stage.own()
    assert runner.done and runner.state is TaskState.SUCCESS and stage.paths.finished.exists()


@pytest.mark.parametrize(
    "change, text",
    [
        ({"ports": {"http": 1}}, "was begun with ports {}, not {'http': 1}"),
        ({"sandbox": Path("/elsewhere")}, "was begun with sandbox .*, not /elsewhere"),
        ({"log_dir": Path("/logs")}, "was begun with log_dir .*, not /logs"),
        ({"user": Identity("x", 4242, 1, (), "/")}, r"was begun with user \d+, not 4242"),
    ],
)
def test_the_same_id_with_other_settings_is_refused(stage: Stage, change: dict[str, object], text: str) -> None:
    stage.own()
    stage.crash()
    stage.settings = replace(stage.settings, **change)
    with pytest.raises(ConfigError, match=f"task t-1 {text}; choose another id than t-1"):
        stage.own()


def test_another_task_under_the_same_id_is_refused_and_the_difference_named(stage: Stage) -> None:
    stage.own()
    stage.crash()
    stage.spec = msgspec.structs.replace(stage.spec, processes=(process("a"), process("b", max_failures=7)))
    with pytest.raises(ConfigError, match=r"differs from on disk copy: process b.max_failures: 1 vs 7; choose"):
        stage.own()
    stage.spec = msgspec.structs.replace(stage.spec, processes=(process("a"), process("b")))
    stage.own()


def open_below(root: Path) -> list[str]:
    """What of it is open (other descriptors of this process come and go)."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(path.readlink())
            found += [target] if target.startswith(str(root)) else []
    return sorted(found)


def test_a_refusal_gives_the_lock_back(stage: Stage) -> None:
    stage.own()
    stage.crash()
    good, stage.spec = stage.spec, msgspec.structs.replace(stage.spec, max_failures=9)
    before = open_below(stage.paths.root)
    with pytest.raises(ConfigError):
        stage.own()
    assert open_below(stage.paths.root) == before
    stage.spec = good
    stage.own()


def test_a_newer_format_is_not_touched(stage: Stage) -> None:
    stage.own()
    stage.crash()
    header = next(r for r in stage.records() if isinstance(r, Header))
    newer = encode_record(msgspec.structs.replace(header, format=FORMAT + 1))
    stage.paths.runner.write_bytes(newer)
    with pytest.raises(HostError, match=f"cannot read the checkpoint .*: format {FORMAT + 1} is newer than ours"):
        stage.own()
    assert stage.paths.runner.read_bytes() == newer
    assert stage.runner is not None
    stage.runner = None


def test_a_second_runner_is_told_who_has_it(stage: Stage) -> None:
    runner = stage.own()
    with pytest.raises(NotOwner, match=rf"task t-1 is owned by runner pid {os.getpid()} \(uid {os.geteuid()}\)"):
        stage.own()
    assert stage.runner is runner and not runner.done


def test_force_never_kills_itself(stage: Stage) -> None:
    stage.own()
    with pytest.raises(NotOwner, match="its owner is not known"):
        stage.own(force=True)


@pytest.mark.parametrize("field, value", [("boot", "boot-0"), ("pidns", 8), ("start", 12345)])
def test_force_does_not_kill_a_stranger(stage: Stage, field: str, value: object) -> None:
    """The record names a pid that is somebody else's by now, while the lock is held by who knows whom."""
    runner = stage.own()
    stranger = stage.kernel.stranger()
    assert runner.task.owner is not None
    stated = msgspec.structs.replace(runner.task.owner, pid=stranger.pid, start=stranger.start)
    runner.append(msgspec.structs.replace(stated, **{field: value}))
    stage.kernel.rest = lambda seconds: None  # type: ignore[method-assign]
    with pytest.raises(NotOwner, match=f"pid {stranger.pid} is not its runner any more"):
        stage.own(force=True)
    assert not stranger.signals


def test_a_task_that_was_let_go_is_taken_over(stage: Stage) -> None:
    runner = stage.own()
    for name in "ab":
        stage.puppet(name).come_up()
    stage.look()
    runner.detach(stage.kernel.now)
    assert runner.done and isinstance(stage.records()[-1], Released)
    runner.detach(stage.kernel.now)
    runner.on_ready(stage.kernel.now)
    runner.kill(stage.kernel.now)
    assert isinstance(stage.records()[-1], Released), "nothing is written by who let go"
    assert not stage.kernel.signalled
    stage.own()
    for name in "ab":
        stage.puppet(name).exited(0)
    assert stage.look().state is TaskState.SUCCESS
    assert stage.started() == [("a", 0), ("b", 0)]


@pytest.mark.parametrize("task_id", ["", ".", "..", "a/b", "-x", "a\nb", "x" * 256])
def test_bad_ids_make_no_directories(stage: Stage, tmp_path: Path, task_id: str) -> None:
    stage.paths = TaskPaths(tmp_path / "fresh", task_id)
    with pytest.raises(UserError, match="bad task id"):
        stage.own()
    assert not (tmp_path / "fresh").exists()


def test_all_problems_of_a_graph_are_named(make_stage: MakeStage) -> None:
    stage = make_stage(process("a"), process("../b"), order=(("a", "zz"),))
    with pytest.raises(ConfigError) as caught:
        stage.own()
    assert len(str(caught.value).splitlines()) >= 2
