"""`thermos kill`: tasks that a runner minds, tasks that nobody minds, politely and not."""

from __future__ import annotations

import getpass
import os

import pytest

from client.context import user_name
from client.thermos.kill import end_unattended
from client.thermos.minding import settings_of
from tests.client.room import Room, alive
from tests.thermos.core import samples
from thermos.core.records import Header
from thermos.errors import HostError
from thermos.host.kernel import Kernel
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"
LAST = "Process(name = 'last', cmdline = 'touch finalizer-ran', final = True)"
STUBBORN = """Process(name = 'stubborn', cmdline = 'trap "" TERM; while :; do sleep 1000; done')"""


def test_nothing_matched_is_1(room: Room) -> None:
    done = room.kill("nothing-like-this")
    assert (done.code, done.out, done.err) == (1, "No active tasks matched.\n", "")


def test_a_minded_task_is_ended_by_its_runner_politely(room: Room) -> None:
    run = room.start(room.task(SLEEP, LAST))
    pid = run.running("sleep")["pid"]
    done = room.kill("t")
    assert (done.code, done.out, done.err) == (0, "Killing t...done.\n", "")
    assert not alive(pid)
    code, summary = run.end()
    assert (code, summary["state"], summary["reason"]) == (4, "KILLED", f"thermos kill by {getpass.getuser()}")
    assert (room.root / "sandboxes/t/finalizer-ran").exists()
    assert room.kill("t").code == 1, "it is finished now"


def test_a_task_that_nobody_minds_is_ended_politely_too(room: Room) -> None:
    run = room.start(room.task(SLEEP, LAST))
    pid = run.running("sleep")["pid"]
    run.kill()
    done = room.kill("t")
    assert (done.code, done.out, done.err) == (0, "Killing t...done.\n", "")
    assert not alive(pid)
    assert (room.root / "sandboxes/t/finalizer-ran").exists()
    [task] = room.status_json()
    assert (task["state"], task["active"]) == ("KILLED", False)
    assert task["reason"].startswith("thermos kill by ")


def test_nothing_new_starts_in_a_task_that_is_taken_over_to_be_ended(room: Room) -> None:
    with room.fifo("done") as ended:
        first = f"Process(name = 'first', cmdline = 'read x < {room.path}/go; echo over > {room.path}/done')"
        second = "Process(name = 'second', cmdline = 'touch second-ran')"
        os.mkfifo(room.path / "go")
        run = room.start(room.task(first, second, more=", constraints = [Constraint(order = ['first', 'second'])]"))
        run.running("first")
        run.kill()
        with (room.path / "go").open("w") as go:
            go.write("now\n")
        assert ended() == "over"
    assert room.kill("t").code == 0
    [task] = room.status_json()
    assert [(p["process"], p["runs"]) for p in task["processes"]] == [("first", 1), ("second", 0)]
    assert not (room.root / "sandboxes/t/second-ran").exists()


@pytest.mark.parametrize("minded", [True, False], ids=["minded", "nobody minds it"])
def test_force_does_not_wait_and_skips_finalizers(room: Room, minded: bool) -> None:
    run = room.start(room.task(STUBBORN, LAST))
    pid = run.running("stubborn")["pid"]
    if not minded:
        run.kill()
    done = room.kill("--force", "t")
    assert (done.code, done.out, done.err) == (0, "Killing t...done.\n", "")
    assert not alive(pid)
    assert not alive(run.pid)
    assert not (room.root / "sandboxes/t/finalizer-ran").exists()


def test_several_at_once_and_only_those(room: Room) -> None:
    config = room.task(SLEEP)
    runs = {name: room.start(config, task_id=name) for name in ("a-1", "a-2", "b-1")}
    for run in runs.values():
        run.running("sleep")
    runs["a-2"].kill()
    done = room.kill("a-")
    assert done.code == 0
    assert done.out.splitlines() == ["Killing a-1...done.", "Killing a-2...done."]
    assert [task["task_id"] for task in room.status_json("--only", "active")] == ["b-1"]


def test_a_runner_that_nobody_listens_to_does_not_hold_it_up(room: Room) -> None:
    """Its output is a full pipe, so it can't say goodbye and exit; its task has ended all the same."""
    talk = [f"Process(name = 'p{i}', cmdline = 'true', max_failures = 0)" for i in range(300)]
    run = room.start(room.task(SLEEP, *talk, more=", max_concurrency = 20"))
    run.running("sleep")
    room.shell(f"until thermos status --root {room.root} -v 1 | grep -q '300 of 301 done'; do :; done")
    assert room.kill("t").out == "Killing t...done.\n"
    assert alive(run.pid), "else this tests nothing"
    code, summary = run.end()
    assert (code, summary["state"]) == (4, "KILLED")


def test_a_corrupt_checkpoint_is_told_and_the_others_are_ended(room: Room) -> None:
    run = room.start(room.task(SLEEP), task_id="a-2")
    run.running("sleep")
    (room.root / "tasks/active/a-1").write_text("{}")
    (room.root / "checkpoints/a-1").mkdir()
    (room.root / "checkpoints/a-1/runner").write_bytes(b"\0\1\2 thrift")
    done = room.kill("a-")
    (room.root / "tasks/active/a-1").unlink()
    assert done.code == 1
    assert done.out.splitlines() == ["Killing a-1...failed.", "Killing a-2...done."]
    assert done.err == "thermos: cannot kill task a-1: checkpoint stream CORRUPT or outdated format\n"


class Stranger(Kernel):
    """We, as another user."""

    def geteuid(self) -> int:
        return super().geteuid() + 4321


def test_another_users_task_is_a_clear_line(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    paths = TaskPaths(room.root, "t")
    me = user_name(Kernel().geteuid())
    with pytest.raises(HostError, match=rf"its runner \(pid {run.pid}\) belongs to {me}; run this as {me}"):
        end_unattended(read_task(paths, Kernel()), Stranger(), force=True)
    assert alive(run.pid)


def test_what_the_header_tells_is_how_finalizers_run() -> None:
    header = samples.header()
    chrooted = Header(
        at=1.0, mono=1.0, format=1, task_id="t", sandbox="/s", log_dir="/s/.logs", hostname="h", user="no-such-user",
        uid=4321, chroot=True,
    )  # fmt: skip
    assert settings_of(header).ports == {"http": 31000}
    settings = settings_of(chrooted)
    assert (settings.chroot, settings.setuid, settings.user.uid) == (True, True, 4321)
