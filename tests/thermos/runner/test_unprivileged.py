"""Owning without rights: the key cases once more as uid 65534, in a forked child and a directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.thermos.runner.rig import MortalKernel, Rig, process, wait_ended
from thermos import clock
from thermos.core.states import ProcessState, TaskState
from thermos.errors import HostError
from thermos.host import program as program_module
from thermos.host.kernel import Kernel
from thermos.host.program import find_coordinator
from thermos.host.users import Identity, current_user

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the whole suite is unprivileged then")


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory that nobody owns and can reach, with a coordinator that nobody may execute."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        program, argv = find_coordinator()
        if len(argv) == 1:
            shutil.copy(program, place / "thermos-coordinator")
            monkeypatch.setattr(program_module, "find_coordinator", lambda: (str(place / "thermos-coordinator"), argv))
        for path in (place, *place.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        place.chmod(0o755)
        yield place


def as_nobody(place: Path, act: Callable[[Path], None]) -> None:
    """Run `act` there without any right; its failure is ours."""
    home = Rig(place / "control")
    os.chown(home.sandbox, NOBODY, NOBODY)

    def become() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.chdir(place)
        Kernel().set_subreaper()
        act(place)

    code = wait_ended(home.in_a_child(become))
    assert code == 0, home.complaint()


def closing(act: Callable[[Rig], None], *processes: object, **task: object) -> Callable[[Path], None]:
    def run(place: Path) -> None:
        rig = Rig(place / "task", *processes, **task)  # type: ignore[arg-type]
        rig.settings = replace(rig.settings, user=current_user())
        try:
            act(rig)
        finally:
            left = rig.close()
        rig.check()
        assert not left

    return run


@needs_root
def test_a_task_from_begin_to_end(place: Path) -> None:
    def act(rig: Rig) -> None:
        task = rig.finish(rig.own())
        assert task.state is TaskState.SUCCESS and task.header is not None and task.header.uid == NOBODY

    as_nobody(place, closing(act, process("a", '[ "$(id -u)" = 65534 ]'), process("f", "true", final=True)))


@needs_root
@pytest.mark.parametrize("how", ["before", "after", "torn"])
def test_a_runner_killed_at_any_act(place: Path, how: str) -> None:
    def act_at(at: int) -> Callable[[Rig], None]:
        def act(rig: Rig) -> None:
            ended = wait_ended(rig.in_a_child(lambda: rig.finish(rig.own(rig.mark(MortalKernel(at, how)))) and None))
            assert ended == -signal.SIGKILL, rig.complaint()
            task = rig.finish(rig.own())
            assert task.state is TaskState.SUCCESS
            assert (task.processes["a"].total, task.processes["b"].total) == (1, 1)

        return act

    for at in (2, 5, 6, 9, 12):
        spot = place / str(at)
        spot.mkdir()
        os.chown(spot, NOBODY, NOBODY)
        body = closing(act_at(at), process("a", "true"), process("b", "true"), order=(("a", "b"),))
        as_nobody(spot, body)


@needs_root
def test_a_coordinator_that_dies_takes_its_tree_along(place: Path) -> None:
    def act(rig: Rig) -> None:
        bell = rig.bell("bell")
        runner = rig.own()
        rig.drive(runner, lambda: bell.heard() and Rig.is_running(runner, "a"))
        rig.kill_coordinators()
        task = rig.finish(runner)
        assert task.processes["a"].runs[0].state is ProcessState.LOST
        assert task.state is TaskState.SUCCESS

    command = "[ -e once ] && exit 0; touch once; setsid sleep 1000 & setsid -f sleep 1000; echo up > bell; sleep 1000"
    as_nobody(place, closing(act, process("a", command)))


@needs_root
def test_a_kill_reaches_everything(place: Path) -> None:
    def act(rig: Rig) -> None:
        bell = rig.bell("bell")
        runner = rig.own()
        rig.drive(runner, bell.heard)
        runner.kill(clock.now(), grace=0)
        assert rig.finish(runner).state is TaskState.KILLED

    as_nobody(place, closing(act, process("a", "trap '' TERM; setsid -f sleep 1000; echo up > bell; sleep 1000; :")))


@needs_root
def test_another_users_checkpoint_is_not_trusted(place: Path) -> None:
    rig = Rig(place / "task", process("a", "true"))
    rig.paths.checkpoint.mkdir(parents=True)
    for path in (place / "task").rglob("*"):
        if path != rig.paths.checkpoint:
            os.chown(path, NOBODY, NOBODY)
    os.chown(place / "task", NOBODY, NOBODY)

    def same_id(place: Path) -> None:
        twin = Rig(place / "task", process("a", "true"))
        twin.paths, twin.settings = rig.paths, replace(rig.settings, user=current_user())
        with pytest.raises(HostError, match=r"cannot trust .*: it belongs to uid 0, not to uid 65534"):
            twin.own()

    as_nobody(place, same_id)


@needs_root
def test_only_root_runs_processes_as_somebody_else(place: Path) -> None:
    def act(rig: Rig) -> None:
        rig.settings = replace(rig.settings, setuid=True, user=Identity("root", 0, 0, (0,), "/"))
        with pytest.raises(HostError, match="cannot run as user root: only root may"):
            rig.own()

    def run(place: Path) -> None:
        act(Rig(place / "task", process("a", "true")))

    as_nobody(place, run)


@needs_root
def test_root_runs_processes_as_the_user(place: Path) -> None:
    """And the kill of what the user left behind works across users."""
    Kernel().set_subreaper()
    rig = Rig(place / "task", process("a", '[ "$(id -u)$(id -g)" = 6553465534 ] && echo yes > mine'))
    os.chown(rig.sandbox, NOBODY, NOBODY)
    user = Identity("nobody", NOBODY, NOBODY, (NOBODY,), "/")
    rig.settings = replace(rig.settings, user=user, setuid=True)
    try:
        task = rig.finish(rig.own())
    finally:
        left = rig.close()
    assert task.state is TaskState.SUCCESS, task.processes["a"].last
    assert (rig.sandbox / "mine").stat().st_uid == NOBODY
    assert not left
