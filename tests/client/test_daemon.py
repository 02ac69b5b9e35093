"""`--daemon`, `attach`, `detach`: who minds a task changes, its processes notice nothing."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from client.thermos.minding import orders_for
from client.thermos.orders import load_orders, orders_path
from tests.client.background import background, wait_for_records, wait_until_gone
from tests.client.room import Room, alive
from thermos.core.fold import TaskRecord
from thermos.host.keeper import read_kept
from thermos.host.kernel import Kernel
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"


def daemon(room: Room, config: str, *more: str, task_id: str = "t", **environment: str) -> dict[str, Any]:
    """Start one and tell what it says of itself."""
    words = ("run", "--daemon", "-o", "json", "--root", str(room.root), "--task-id", task_id, *more, config)
    done = room.thermos(*words, **environment)
    assert (done.code, done.err) == (0, "")
    told: dict[str, Any] = json.loads(done.out)
    return told


def running(task: TaskRecord, process: str = "sleep") -> int:
    """The pid of a process that runs, else 0."""
    known = task.processes.get(process)
    return known.last.pid if known is not None and known.last is not None and not known.last.terminal else 0


def kept(room: Room) -> Any:
    return read_kept(TaskPaths(room.root, "t").checkpoint, Kernel())


def test_it_returns_when_the_task_is_owned_and_says_how_to_look(room: Room) -> None:
    done = room.run(room.task(SLEEP), "--daemon")
    assert (done.code, done.err) == (0, "")
    first, second, *more = done.out.splitlines()
    assert first == "Daemonizing and starting runner."
    found = re.fullmatch(r"task t is ACTIVE, its runner is pid (\d+)", second)
    assert found
    assert f"  root: {room.root}" in more
    assert alive(int(found[1]))
    [task] = room.status_json()
    assert (task["state"], task["attendance"], task["owner_pid"]) == ("ACTIVE", "attended", int(found[1]))
    for line in more:
        if "thermos status" in line:
            assert room.thermos(*line.split()[2:]).code == 0, "the commands that it names work"
    keeper = kept(room).pid
    assert room.kill("t").out == "Killing t...done.\n"
    wait_until_gone(keeper)


def test_a_task_that_is_over_at_once_was_begun(room: Room) -> None:
    daemon(room, room.task("Process(name = 'p', cmdline = 'true')"))
    task = wait_for_records(room, lambda task: task.terminal)
    assert task.state == "SUCCESS"
    wait_until_gone(kept(room).pid)
    log = (room.root / "checkpoints/t/runner.log").read_text()
    assert "task t SUCCESS" in log


def test_a_killed_runner_is_replaced_and_nothing_runs_twice(room: Room) -> None:
    told = daemon(room, room.task(SLEEP))
    pid = running(wait_for_records(room, running))
    for _ in range(2):
        owner = wait_for_records(room, lambda task: task.owner).owner
        assert owner is not None
        os.kill(owner.pid, signal.SIGKILL)
        task = wait_for_records(room, lambda task, old=owner.pid: task.owner.pid != old)
        assert task.owner is not None
        assert (running(task), task.processes["sleep"].total) == (pid, 1)
    assert kept(room).deaths == 2
    assert kept(room).pid == told["keeper_pid"]


def test_what_is_wrong_is_told_in_the_foreground(room: Room) -> None:
    bad = room.config("export(Task(name = 'x', processes = [Process(name = 'p')]))", "bad.thermos")
    done = room.run(bad, "--daemon")
    assert done.code == 3
    assert "cmdline" in done.err
    assert not (room.root / "checkpoints").exists()


def test_a_task_that_somebody_has_is_refused(room: Room) -> None:
    config = room.task(SLEEP)
    run = room.start(config)
    run.running("sleep")
    done = room.run(config, "--daemon")
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith(f"thermos: task t is owned by runner pid {run.pid}")
    assert done.err.endswith("--force takes it over\n")


def test_force_takes_it_from_whoever_has_it(room: Room) -> None:
    config = room.task(SLEEP)
    run = room.start(config)
    pid = run.running("sleep")["pid"]
    told = daemon(room, config, "--force")
    assert run.wait() == -signal.SIGKILL
    assert running(wait_for_records(room, lambda task: task.owner.pid == told["runner_pid"])) == pid
    wait_for_records(room, lambda _: load_orders(TaskPaths(room.root, "t")).force is False)  # type: ignore[union-attr]


def test_a_finished_or_different_task_is_refused(room: Room) -> None:
    room.run(room.task("Process(name = 'p', cmdline = 'true')"))
    done = room.run(room.task(SLEEP), "--daemon")
    assert (done.code, done.err) == (6, "thermos: task t is finished; choose another id or `thermos gc`\n")
    daemon(room, room.task(SLEEP), task_id="other")
    done = room.run(room.task("Process(name = 'p', cmdline = 'true')"), "--daemon", task_id="other")
    assert done.code == 3
    assert "Task differs from on disk copy" in done.err


def test_why_a_runner_could_not_begin_is_told(room: Room) -> None:
    (room.path / "file").write_text("")
    done = room.run(room.task(SLEEP), "--daemon", "--sandbox", str(room.path / "file" / "below"))
    assert done.code == 1
    assert done.out == "Daemonizing and starting runner.\n"
    assert re.fullmatch(
        r"thermos: cannot run task t as a daemon: cannot make directory \S+: Not a directory\n", done.err
    )


def test_options_that_need_a_terminal_are_refused(room: Room) -> None:
    config = room.task(SLEEP)
    assert "can't be given together" in room.run(config, "--daemon", "--follow").err
    assert room.run(config, "--follow", "-o", "json").code == 2


def test_hangup_means_nothing_to_a_daemon_and_term_to_its_keeper_ends_the_task(room: Room) -> None:
    told = daemon(room, room.task(SLEEP, "Process(name = 'last', cmdline = 'touch ran', final = True)"))
    wait_for_records(room, running)
    os.kill(told["keeper_pid"], signal.SIGHUP)
    os.kill(told["runner_pid"], signal.SIGHUP)
    done = room.thermos("restart", "--root", str(room.root), "t", "sleep")
    assert done.code == 0, "it is still there and does what it is asked"
    os.kill(told["keeper_pid"], signal.SIGTERM)
    task = wait_for_records(room, lambda task: task.terminal)
    assert (task.state, task.reason) == ("KILLED", "SIGTERM")
    assert (room.root / "sandboxes/t/ran").exists()
    wait_until_gone(told["keeper_pid"])


def test_people_find_the_runner(room: Room) -> None:
    told = daemon(room, room.task(SLEEP))
    proc = Path(f"/proc/{told['runner_pid']}")
    assert (proc / "comm").read_text() == "thermos-runner\n"
    words = (proc / "cmdline").read_bytes().decode().split("\0")
    assert words[4].endswith("/thermos-runner")
    assert words[5:7] == ["t", str(room.root / "checkpoints/t/orders")]


def test_a_foreground_runner_is_found_too(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    assert Path(f"/proc/{run.pid}/comm").read_text() == "thermos-runner\n"
    words = Path(f"/proc/{run.pid}/cmdline").read_bytes().decode().split("\0")
    assert (words[4].endswith("/thermos-runner"), words[5]) == (True, "t")


def test_detach_frees_the_terminal(room: Room) -> None:
    with background(room, "run", "--root", str(room.root), "--task-id", "t", room.task(SLEEP)) as run:
        run.wait_for(lambda line: "RUNNING" in line)
        pid = running(wait_for_records(room, running))
        done = room.thermos("detach", "--root", str(room.root), "t")
        assert (done.code, done.err) == (0, "")
        assert "task t is ACTIVE" in done.out
        code, lines, err = run.end()
    assert (code, err) == (0, "")
    assert lines == ["let go of task t: it goes on; `thermos attach t` takes it back"]
    [task] = room.status_json()
    assert task["attendance"] == "attended"
    assert running(wait_for_records(room, running)) == pid
    again = room.thermos("detach", "--root", str(room.root), "t")
    assert again.out.startswith("task t runs as a daemon already\n")


def test_detach_takes_over_what_nobody_minds(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    pid = run.running("sleep")["pid"]
    run.kill()
    assert room.thermos("detach", "--root", str(room.root), "t").code == 0
    assert running(wait_for_records(room, running)) == pid


def test_attach_takes_it_from_the_daemon(room: Room) -> None:
    told = daemon(room, room.task(SLEEP))
    pid = running(wait_for_records(room, running))
    with background(room, "attach", "--root", str(room.root), "t") as here:
        assert "took over task t: its runner" in here.wait_for(lambda line: "took over" in line)
        wait_until_gone(told["keeper_pid"])
        task = wait_for_records(room, lambda task: task.owner.pid == here.pid)
        assert running(task) == pid
        here.signal(signal.SIGINT)
        code, lines, _ = here.end()
    assert code == 4
    assert any(line.startswith("task t KILLED") for line in lines)
    assert not alive(pid)


def test_attach_takes_it_from_another_terminal(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    pid = run.running("sleep")["pid"]
    with background(room, "attach", "-o", "json", "--root", str(room.root), "t") as here:
        code, summary = run.end()
        assert (code, summary["state"]) == (0, "ACTIVE")
        wait_for_records(room, lambda task: task.owner.pid == here.pid)
        assert alive(pid)
        assert room.kill("t").code == 0
        assert here.end()[0] == 4


def test_watch_only_looks(room: Room) -> None:
    go = room.path / "go"
    os.mkfifo(go)
    told = daemon(room, room.task(f"Process(name = 'p', cmdline = 'read x < {go}; exit 3')"))
    wait_for_records(room, lambda task: running(task, "p"))
    with background(room, "attach", "--watch", "-o", "json", "--root", str(room.root), "t") as here:
        here.wait_for(lambda line: '"note"' in line)
        with go.open("w") as file:
            file.write("now\n")
        code, lines, err = here.end()
    assert (code, err) == (1, "")
    events = [json.loads(line) for line in lines]
    assert [e["code"] for e in events if e["kind"] == "exited"] == [3]
    assert events[-1]["kind"] == "summary"
    task = wait_for_records(room, lambda task: task.terminal)
    assert task.owner is not None
    assert task.owner.pid == told["runner_pid"], "it owned nothing"


def test_looking_ends_without_harm(room: Room) -> None:
    told = daemon(room, room.task(SLEEP))
    with background(room, "attach", "--watch", "--root", str(room.root), "t") as here:
        here.wait_for(lambda line: "t ACTIVE" in line)
        here.signal(signal.SIGINT)
        assert here.end()[0] == 0
    assert alive(told["runner_pid"])


def test_a_task_that_is_over_can_only_be_looked_at(room: Room) -> None:
    room.run(room.task("Process(name = 'p', cmdline = 'exit 3')"))
    for verb in ("attach", "detach"):
        done = room.thermos(verb, "--root", str(room.root), "t")
        assert (done.code, done.out) == (6, "")
        assert re.fullmatch(rf"thermos: cannot {verb}( to)? task t: it is over \(FAILED\)\n", done.err)
    done = room.thermos("attach", "--watch", "--root", str(room.root), "t")
    assert done.code == 1
    assert "task t FAILED" in done.out


def test_a_preserved_environment_goes_with_the_task(room: Room) -> None:
    """Not that of whoever detaches."""
    with room.fifo("out") as line:
        config = room.task(f"Process(name = 'p', cmdline = 'echo $MARK > {room.path}/out; exec sleep 1000')")
        words = ("run", "--root", str(room.root), "--task-id", "t", "--preserve-env", config)
        with background(room, *words, MARK="mine") as run:
            assert line() == "mine"
            wait_for_records(room, lambda task: running(task, "p"))
            assert room.thermos("detach", "--root", str(room.root), "t", MARK="other").code == 0
            assert run.end()[0] == 0
        assert room.thermos("restart", "--root", str(room.root), "t", "p").code == 0
        assert line() == "mine"


def test_orders_are_kept_for_the_next_runner_and_for_nobody_else(room: Room) -> None:
    config = room.task(SLEEP)
    run = room.start(config, "--process-logger-mode", "rotate", "--rotate-log-backups", "2")
    run.running("sleep")
    paths = TaskPaths(room.root, "t")
    assert orders_path(paths).stat().st_mode & 0o777 == 0o600
    orders = load_orders(paths)
    assert orders is not None
    assert (orders.settings.logger.mode, orders.settings.logger.backups) == ("rotate", 2)
    run.kill()
    orders_path(paths).write_bytes(b"nonsense")
    assert load_orders(paths) is None
    told = orders_for(read_task(paths, Kernel()))
    assert (told.settings.sandbox, told.spec.name) == (room.root / "sandboxes/t", "t"), "the records tell the rest"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_strangers_orders_are_not_obeyed(room: Room) -> None:
    room.run(room.task("Process(name = 'p', cmdline = 'true')"))
    paths = TaskPaths(room.root, "t")
    assert load_orders(paths) is not None
    os.chown(orders_path(paths), 65534, 65534)
    assert load_orders(paths) is None
