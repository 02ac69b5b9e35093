"""What stands in the records of real tasks: items 72, 73, 76, 77, 80 and 94 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import time
from itertools import groupby
from pathlib import Path

import pytest

from tests.client.room import Room, alive
from tests.e2e.harness import Host, read_records
from tests.e2e.processes import is_alive, kill_verified, wait_gone
from thermos.core.fold import TaskRecord
from thermos.core.records import Header, Owner
from thermos.core.states import ProcessState, TaskState
from thermos.host.kernel import Kernel
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)


def told(room: Room) -> TaskRecord:
    """The task as any reader sees it."""
    return read_task(TaskPaths(room.root, "t"), Kernel()).task


@both_coordinators
@pytest.mark.parametrize(("cmdline", "state"), [("true", "SUCCESS"), ("exit 3", "FAILED"), ("kill -9 $$", "KILLED")])
def test_76_a_run_is_forked_then_started_then_over(host: Host, cmdline: str, state: str) -> None:
    """Also one that fails: the original kept no end of a failure."""
    before = time.time()
    task = host.run(
        f"p = Process(name = 'p', cmdline = {cmdline!r}, min_duration = 3600)\n"
        "export(Task(name = 'times', processes = [p]))"
    )
    run = task.wait_run("p", 0, state)
    assert before - 0.01 < run.starting_at < run.forked_at < run.started_at < run.ended_at < time.time() + 0.01
    if state == "KILLED":  # it would be repeated in an hour
        task.signal(signal.SIGTERM)
    task.wait_end(state)


def test_77_the_header_says_whose_task_it_is_and_where_it_lives(host: Host) -> None:
    before = time.time()
    config = "export(Task(name = 'x', processes = [Process(name = 'p', cmdline = 'echo {{thermos.ports[http]}}')]))"
    task = host.run(config, "-P", "http:8080", "-P", "extra:8081")
    task.wait_end("SUCCESS")
    first, second = task.records()[:2]
    me = pwd.getpwuid(os.geteuid())
    assert isinstance(first, Header) and isinstance(second, Owner)
    assert (first.task_id, first.sandbox, first.log_dir) == ("t", str(task.sandbox), str(task.sandbox / ".logs"))
    assert (first.hostname, first.user, first.uid) == (socket.gethostname(), me.pw_name, me.pw_uid)
    assert first.ports == {"http": 8080, "extra": 8081}
    assert before <= first.at <= time.time()
    assert (second.pid, second.uid) == (task.process.pid, os.geteuid())
    assert sum(isinstance(record, Header) for record in task.records()) == 1


@pytest.mark.parametrize("main_dies", [True, False], ids=["all three died", "the main lives on"])
def test_73_a_task_of_which_nothing_lives_is_killed_on_record(room: Room, main_dies: bool) -> None:
    """Runner and coordinator are dead, maybe the process too: its run is LOST, the task KILLED, nothing is left."""
    config = room.task("Process(name = 'p', cmdline = 'exec sleep 1000')", "Process(name = 'q', cmdline = 'true')")
    running = room.start(config)
    running.running("p")
    running.kill()
    run = told(room).processes["p"].runs[0]
    kill_verified(run.coordinator, run.coordinator_start)
    if main_dies:
        kill_verified(run.pid, run.pid_start)
        wait_gone(run.pid, run.pid_start)
    done = room.kill("--force", "t")
    assert (done.code, done.out, done.err) == (0, "Killing t...done.\n", "")
    assert not alive(run.pid)
    after = told(room)
    assert after.state is TaskState.KILLED
    assert [r.state for r in after.processes["p"].runs.values()] == [ProcessState.LOST]
    assert TaskPaths(room.root, "t").finished.exists()
    assert not TaskPaths(room.root, "t").active.exists()


def test_73_politely_too(room: Room) -> None:
    """Without --force a finalizer runs, and the lost process is not repeated."""
    last = "Process(name = 'last', cmdline = 'touch finalizer-ran', final = True)"
    running = room.start(room.task("Process(name = 'p', cmdline = 'exec sleep 1000')", last))
    running.running("p")
    running.kill()
    run = told(room).processes["p"].runs[0]
    kill_verified(run.coordinator, run.coordinator_start)
    kill_verified(run.pid, run.pid_start)
    assert room.kill("t").code == 0
    after = told(room)
    assert (after.state, after.processes["p"].total) == (TaskState.KILLED, 1)
    assert (room.root / "sandboxes/t/finalizer-ran").exists()


@both_coordinators
def test_72_sequences_go_on_without_a_gap_under_the_next_runner(host: Host) -> None:
    """Every record of a run has the next number, whoever mirrored it; nothing is mirrored twice."""
    task = host.run(
        r"""
p = Process(name = 'p', cmdline = 'echo >> ran; read x < go; [ $(wc -l < ran) = 3 ]', max_failures = 5,
            min_duration = 0)
export(Task(name = 'seq', processes = [p]))
""",
        before=lambda task: task.gate(),
    )
    for number in range(3):
        run = task.wait_running("p", number)
        task.signal(signal.SIGKILL)
        assert task.wait_exit() == -signal.SIGKILL
        assert is_alive(run.pid)
        task.start()
        task.wait(lambda: task.view().owner if task.view().owner.pid == task.process.pid else None, "the new owner")
        task.let_go()
    task.wait_end("SUCCESS")
    assert len(task.lines("ran")) == 3
    for path in (task.paths.runner, task.paths.inbox("p")):
        numbered = [(r.run, r.seq) for r in read_records(path) if hasattr(r, "seq")]
        assert [run for run, _ in groupby(numbered, key=lambda pair: pair[0])] == [0, 1, 2]
        for _, of_run in groupby(numbered, key=lambda pair: pair[0]):
            seqs = [seq for _, seq in of_run]
            assert seqs == list(range(len(seqs))), path


def test_80_who_is_forced_out_leaves_its_runs_to_the_next(host: Host) -> None:
    config = "export(Task(processes = [Process(name = 'p', cmdline = 'read x < go')]))"
    first = host.run(config, before=lambda task: task.gate())
    run = first.wait_running("p")
    refused = host.run(config)
    assert refused.wait_exit() == 6
    second = host.run(config, "--force")
    assert first.wait_exit() == -signal.SIGKILL
    second.wait(lambda: second.view().owner if second.view().owner.pid == second.process.pid else None, "new owner")
    assert is_alive(run.pid)
    first.let_go()
    view = second.wait_end("SUCCESS")
    assert (view.processes["p"].total, second.runs("p")[0].pid) == (1, run.pid)


def test_78_a_checkpoint_of_the_original_is_told_apart_and_left_alone(room: Room) -> None:
    """Its frames: four bytes of length, then Thrift's binary protocol (spec/thermos.md §2.2)."""
    frame = b"\x0c\x00\x01\x0b\x00\x01" + (5).to_bytes(4, "big") + b"old-1" + b"\x0b\x00\x03\x00\x00\x00\x02/s\x00\x00"
    old = (len(frame).to_bytes(4, "big") + frame) * 3
    runner = room.root / "checkpoints/old-1/runner"
    runner.parent.mkdir(parents=True)
    runner.write_bytes(old)
    (room.root / "tasks/finished").mkdir(parents=True)
    (room.root / "tasks/finished/old-1").write_text('{"name": "old", "processes": []}')
    done = room.status()
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == ["Finished tasks:", "  old-1  checkpoint stream CORRUPT or outdated format"]
    assert runner.read_bytes() == old
    assert sorted(path.name for path in Path(runner.parent).iterdir()) == ["runner"]
