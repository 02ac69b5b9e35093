"""Hosts that lack something: everything works all the same, or one clear line says what is missing.

Mounts are made in a mount namespace of the command under test (`unshare -m`), so nothing of this host changes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.attacks.conftest import MALLORY, root_only
from tests.client.room import THERMOS, Done, Room
from tests.thermos.runner.conftest import MakeRig, make_rig  # noqa: F401 - a fixture
from tests.thermos.runner.rig import process
from thermos import clock
from thermos.clock import Now
from thermos.core.fold import TaskRecord
from thermos.core.states import TaskState
from thermos.errors import UserError
from thermos.host import program as program_module
from thermos.host.kernel import Kernel
from thermos.paths import check_task_id
from thermos.recovery import own_task

HELLO = "Process(name = 'p', cmdline = 'echo hello')"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.tidy()


def in_namespace(room: Room, mounts: str, *arguments: str, **environment: str) -> Done:
    """`thermos …` where these mounts were made."""
    script = f'mount --make-rprivate / && {mounts} && exec {THERMOS} "$@"'
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "bash", *arguments],
        capture_output=True, text=True, timeout=60, env=room.environment(**environment), cwd=room.path,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def one_line(done: Done, code: int, text: str) -> None:
    assert done.code == code, done
    assert re.fullmatch(f"thermos: {text}\n", done.err), done.err


def run(room: Room, *more: str) -> list[str]:
    return ["run", "--root", str(room.root), "--task-id", "t", *more, room.task(HELLO)]


# ---- a kernel that shows or allows less


@root_only
def test_without_proc_a_task_runs(room: Room) -> None:
    done = in_namespace(room, "umount -l /proc", *run(room))
    assert done.code == 0, done
    assert (room.root / "sandboxes/t/.logs/p/0/stdout").read_text() == "hello\n"


@root_only
def test_a_read_only_checkpoint_is_said(room: Room) -> None:
    room.root.mkdir()
    done = in_namespace(room, f"mount -t tmpfs -o ro none {room.root}", *run(room))
    one_line(done, 1, rf"cannot use the checkpoint directory {room.root}/checkpoints/t: Read-only file system")
    sandbox = room.path / "box"
    sandbox.mkdir()
    done = in_namespace(room, f"mount -t tmpfs -o ro none {sandbox}", *run(room, "--sandbox", str(sandbox / "s")))
    one_line(done, 1, rf"cannot make directory {sandbox}/s: Read-only file system")


# ---- where the coordinator can't be executed


NOEXEC = """
import sys, os
from pathlib import Path
import thermos.host.program as program
place = Path(sys.argv[1])
program._BUILT = str(place / "thermos-coordinator")
assert not os.access(program._BUILT, os.X_OK), "the mount is not noexec"
found, argv = program.find_coordinator()
assert found.startswith("/proc/self/fd/") and argv == ("thermos-coordinator",), (found, argv)
try:
    os.write(int(found.rpartition("/")[2]), b"x")
    raise AssertionError("it is not sealed")
except PermissionError:
    pass
from tests.thermos.runner.rig import Rig, process
rig = Rig(Path(sys.argv[1]).parent / "rig", process("p", "cat /proc/$PPID/comm; readlink /proc/$PPID/exe"))
task = rig.finish(rig.own())
print((rig.sandbox / ".logs/p/0/stdout").read_text(), task.state)
"""


@root_only
def test_a_noexec_installation_runs_the_coordinator_from_memory(tmp_path: Path) -> None:
    program, argv = program_module.find_coordinator()
    if len(argv) > 1:
        pytest.skip("there is no C coordinator here")
    place = tmp_path / "place"
    place.mkdir()
    mounts = f"mount --make-rprivate / && mount -t tmpfs -o noexec none {place} && cp {program} {place}"
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f'{mounts} && exec {sys.executable} -c "$0" {place}', NOEXEC],
        capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["thermos-coordin", "/memfd:thermos-coordinator", "(deleted)", "SUCCESS"]


def test_a_coordinator_that_may_not_be_executed_is_replaced(
    make_rig: MakeRig,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a security module would: only exec tells. Every way but Python's own is refused."""
    refused: list[str] = []

    class Guarded(Kernel):
        def spawn(self, program: str, argv: object, orders: bytes, checkpoint_fd: int) -> int:
            if program != sys.executable:
                refused.append(program)
                raise PermissionError(13, "Permission denied")
            return super().spawn(program, argv, orders, checkpoint_fd)  # type: ignore[arg-type]

        nonce = rig_nonce

    rig = make_rig(process("p", "echo $PPID"))
    Guarded.token = rig.token  # type: ignore[attr-defined]
    monkeypatch.delenv(program_module.PREFER_PYTHON, raising=False)
    task = rig.finish(rig.own(Guarded()))
    assert task.state is TaskState.SUCCESS
    assert not shutil.which("cc") or len(refused) == len(set(refused)) == 2


def rig_nonce(kernel: Kernel) -> str:
    return f"{kernel.token}-{os.urandom(4).hex()}"  # type: ignore[attr-defined]


def test_without_a_compiler_python_minds_the_processes(room: Room) -> None:
    task = room.task("Process(name = 'p', cmdline = 'tr \"\\\\0\" \" \" < /proc/$PPID/cmdline')")
    done = room.thermos("run", "--root", str(room.root), "--task-id", "t", task, THERMOS_PYTHON_COORDINATOR="1")
    assert done.code == 0, done.err
    line = (room.root / "sandboxes/t/.logs/p/0/stdout").read_text()
    assert line.startswith(str(Path(sys.executable).parent)) and line.endswith("coordinator.py t/p/0 ")


# ---- a disk that somebody fills


@root_only
def test_a_user_who_fills_the_disk_harms_himself_alone(room: Room) -> None:
    """His sandbox lies on a small file system of its own: his processes see the full disk, others go on, nobody's exit
    status is lost, and a pumped log loses nothing."""
    box = room.path / "box"
    box.mkdir()
    for path in (room.path, *room.path.parents):
        path.chmod(path.stat().st_mode | 0o011)
    greedy = "mkfifo f; dd if=/dev/zero of=ballast bs=4k; echo > f; sleep 0.5; rm ballast; exit 7"
    writer = "until [ -p f ]; do sleep 0.01; done; read x < f; for i in {1..2000}; do echo line $i; done"
    checker = "[ $(grep -c ^line.*[0-9]$ .logs/writer/0/stdout) = 2000 ] && exit 9"
    lines = {"greedy": greedy, "writer": writer, "checker": checker}
    config = room.task(
        *(f"Process(name = {name!r}, cmdline = {line!r})" for name, line in lines.items()),
        more=", max_failures = 0, constraints = [Constraint(order = ['writer', 'checker'])]",
    )
    mounts = f"mount -t tmpfs -o size=400k,mode=755 none {box} && chown {MALLORY} {box}"
    arguments = ["--root", str(room.root), "--task-id", "t", "--user", MALLORY, "--sandbox", str(box)]
    done = in_namespace(room, mounts, "run", *arguments, "--process-logger-mode", "rotate", "-o", "json", config)
    ends = {e["process"]: e["code"] for e in map(json.loads, done.out.splitlines()) if e["kind"] == "exited"}
    assert ends == {"greedy": 7, "writer": 0, "checker": 9}, done


@root_only
def test_a_user_who_fills_the_checkpoints_disk_is_told_of_and_nothing_is_lost(room: Room) -> None:
    """Sandbox and records share a small file system; a busy neighbour writes records all the time."""
    place = room.path / "place"
    place.mkdir()
    for path in (room.path, *room.path.parents):
        path.chmod(path.stat().st_mode | 0o011)
    said = room.path / "said"
    complains = f"grep -q 'cannot record: disk full' {said}"
    goes_on = f"sed '1,/can record again/d' {said} | grep -q 'busy.'"
    greedy = (
        f"dd if=/dev/zero of=ballast bs=4k; until {complains}; do sleep 0.1; done; rm ballast; "
        f"until {goes_on}; do sleep 0.1; done; exit 7"
    )
    config = room.task(
        f"Process(name = 'greedy', cmdline = {greedy!r})",
        "Process(name = 'busy', cmdline = 'sleep 0.01', daemon = True, ephemeral = True, min_duration = 0)",
        more=", max_failures = 0",
    )
    script = f"{THERMOS} run --root {place}/root --task-id t --user {MALLORY} --plain {config} > {said} 2>&1"
    mounts = f"mount --make-rprivate / && mount -t tmpfs -o size=1m,mode=755 none {place}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", f"{mounts} && {script}"])
    text = said.read_text()
    full, again = text.find("cannot record: disk full"), text.find("can record again")
    assert 0 < full < again, text
    assert "busy[" in text[again:] and "greedy[0] FAILED exit code 7" in text[again:], text
    assert done.returncode == 0, text


# ---- names


@pytest.mark.parametrize("long", [4096, 100_000])
def test_names_that_are_too_long_are_said(room: Room, long: int) -> None:
    name = "x" * long
    done = room.thermos("run", "--root", str(room.root), room.task(f"Process(name = '{name}', cmdline = 'true')"))
    assert done.code == 3 and name not in done.err and "longer than 243 bytes" in done.err, done.err[:500]
    done = room.thermos("run", "--root", str(room.root), "--task-id", name, room.task(HELLO))
    assert done.code == 2 and done.err.count("\n") == 1 and len(done.err) < 300
    assert re.match("thermos: bad task id 'x{80}': ", done.err)
    with pytest.raises(UserError):
        check_task_id(name)


def test_command_lines_may_be_long_and_one_that_is_too_long_is_said(room: Room) -> None:
    """A kernel takes 128 KiB in one argument."""
    room.run(room.task("Process(name = 'p', cmdline = 'true ' + 'x' * 100000)"), task_id="long")
    assert (room.root / "tasks/finished/long").exists()
    done = room.run(room.task("Process(name = 'p', cmdline = 'true ' + 'x' * 200000)"), task_id="longer")
    assert done.code == 1 and "exec: Argument list too long" in done.out, done.out[-1000:]


def test_too_few_descriptors_are_said(room: Room) -> None:
    listed = ", ".join(f"Process(name = 'p{n}', cmdline = 'true')" for n in range(1000))
    config = room.task(listed)
    done = room.shell(f"ulimit -n 500; thermos run --root {room.root} --task-id t {config}")
    one_line(done, 1, r"cannot run task t: 1000 processes at once need 1040 descriptors, this user may have 500; .*")
    config = room.task(listed, more=", max_concurrency = 20")
    assert room.shell(f"ulimit -n 500; thermos run --root {room.root} --task-id t {config}").code == 0


# ---- a clock that is set back


def test_a_clock_that_is_set_back_delays_nothing(make_rig: MakeRig) -> None:  # noqa: F811
    """By a day, between two runs and again between two owners: min_duration and deadlines don't notice."""
    rig = make_rig(process("p", "exit 1", max_failures=3, min_duration=0.2))
    shift = [0.0]

    def now() -> Now:
        real = clock.now()
        return Now(real.wall + shift[0], real.mono)

    runner = own_task(rig.spec, rig.paths, rig.settings, rig.kernel(), now())
    rig.runners.append(runner)
    rig.drive(runner, lambda: runner.task.processes["p"].failures == 1)
    shift[0] = -86400.0
    runner.on_timer(now())
    runner.close()
    again = own_task(rig.spec, rig.paths, rig.settings, rig.kernel(), now())
    rig.runners.append(again)
    task: TaskRecord = rig.finish(again)
    assert task.state is TaskState.FAILED
    starts = [run.ended_mono for run in task.processes["p"].runs.values()]
    assert all(0.19 < after - before < 30 for before, after in pairwise(starts)), starts


# ---- chroot


@root_only
def test_a_chroot_has_its_own_root_and_its_logs_lie_where_they_always_do(room: Room) -> None:
    box = room.path / "box"
    (box / "bin").mkdir(parents=True)
    needed = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True).stdout
    for path in ["/bin/bash", *re.findall(r"(/\S+) \(", needed)]:
        (box / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, box / path[1:])
    config = room.task("Process(name = 'p', cmdline = 'echo $PWD $HOME $USER; echo /*; echo > made; exit 3')")
    done = room.run(config, "--sandbox", str(box), "--enable-chroot")
    assert done.code == 1
    first, second = (box / ".logs/p/0/stdout").read_text().splitlines()
    assert first == "/ /root root"
    assert set(second.split()) <= {"/bin", "/lib", "/lib64", "/usr"} and (box / "made").exists()
    record = room.status_json()[0]
    assert record["task_id"] == "t"


def test_a_chroot_without_root_is_said(room: Room) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may")
    done = room.run(room.task(HELLO), "--enable-chroot")
    one_line(done, 2, "cannot chroot: only root may; leave out --enable-chroot")
