"""`thermos status`: from records alone, how much at which verbosity, and what can't be read."""

from __future__ import annotations

import os
import re
import select

from tests.client.room import Room

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"
QUICK = "Process(name = 'p', cmdline = 'exit 3')"


def shape(text: str) -> str:
    """Times, pids and paths that differ from run to run made equal."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "WHEN", text)
    text = re.sub(r"after [0-9.]+ s", "after N s", text)
    return re.sub(r"\bpid([ =])\d+", r"pid\1N", text)


def test_no_tasks_is_1(room: Room) -> None:
    done = room.status()
    assert (done.code, done.out, done.err) == (1, "No tasks found.\n", "")
    assert room.status("-o", "json").out == "[]\n"


def test_each_verbosity_tells_more(room: Room) -> None:
    first = "Process(name = 'q', cmdline = 'true {{thermos.ports[http]}}')"
    room.run(room.task(first, QUICK, more=", constraints = [Constraint(order = ['q', 'p'])]"), "-P", "http:80")
    title, line = "Finished tasks:", "  t [owner: root]"
    user = room.status_json()[0]["user"]
    line = line.replace("root", user)
    assert room.status().out.splitlines() == [title, line]
    state = "    FAILED since WHEN, started WHEN, 1 of 2 done, 1 failed, 1 failed process: p"
    assert shape(room.status("--verbosity", "1").out).splitlines() == [title, line, state]
    places = [
        f"    user: {user}",
        "    ports: http -> 80",
        f"    sandbox: {room.root}/sandboxes/t",
        f"    logs: {room.root}/sandboxes/t/.logs",
    ]
    assert shape(room.status("--verbosity", "2").out).splitlines() == [title, line, state, *places]
    processes = [
        "    - q runs: 1 last: pid=N, rc=0, finish: WHEN after N s, state: SUCCESS",
        "    - p runs: 1 last: pid=N, rc=3, finish: WHEN after N s, state: FAILED  exit code 3",
    ]
    assert shape(room.status("-v", "3").out).splitlines() == [title, line, state, *places, *processes]


def test_active_and_finished_are_told_apart(room: Room) -> None:
    run = room.start(room.task(SLEEP), task_id="a")
    run.running("sleep")
    room.run(room.task(QUICK), task_id="f")
    assert [line.split(" [")[0] for line in room.status().out.splitlines()] == [
        "Active tasks:", "  a", "Finished tasks:", "  f",
    ]  # fmt: skip
    assert [t["task_id"] for t in room.status_json("--only", "active")] == ["a"]
    assert [t["task_id"] for t in room.status_json("--only", "finished")] == ["f"]
    assert [t["task_id"] for t in room.status_json("f", "x.*")] == ["f"]
    assert room.status("zzz").code == 1


def test_a_task_without_a_runner_is_unattended_since(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    assert "unattended" not in room.status().out
    run.kill()
    [_, line] = shape(room.status().out).splitlines()
    assert line.endswith("  unattended since WHEN: its runner, pid N, is gone")
    [task] = room.status_json()
    assert (task["attendance"], task["owner_pid"]) == ("unattended", run.pid)
    assert task["unattended_since"] > task["started_at"] - 1


def test_what_coordinators_recorded_meanwhile_is_read_too(room: Room) -> None:
    os.mkfifo(room.path / "go")
    run = room.start(room.task(f"Process(name = 'p', cmdline = 'read x < {room.path}/go; exit 5')"))
    coordinator = run.wait_for(lambda e: e["kind"] == "forked")["pid"]
    run.running("p")
    run.kill()
    ended = os.pidfd_open(coordinator)
    with (room.path / "go").open("w") as go:
        go.write("now\n")
    assert select.select([ended], [], [], 30)[0], "the coordinator has written its last record"
    os.close(ended)
    [process] = room.status_json()[0]["processes"]
    assert (process["state"], process["code"]) == ("FAILED", 5)


def test_a_corrupt_checkpoint_is_one_note_and_the_others_are_shown(room: Room) -> None:
    room.run(room.task(QUICK), task_id="good")
    for name in ("bad", "gone"):
        (room.root / "tasks/finished" / name).write_text("{}")
    (room.root / "checkpoints/bad").mkdir()
    (room.root / "checkpoints/bad/runner").write_bytes(b"\0\0\0\x1f\x0c thrift")
    done = room.status("-v", "3")
    assert done.code == 0
    assert "  bad  checkpoint stream CORRUPT or outdated format\n" in done.out
    assert f"  gone  cannot read the checkpoint {room.root}/checkpoints/gone: No such file or directory\n" in done.out
    assert "  good [owner:" in done.out
    assert done.err == ""


def test_damaged_lines_are_counted_with_the_first_place(room: Room) -> None:
    room.run(room.task(QUICK))
    runner = room.root / "checkpoints/t/runner"
    size = runner.stat().st_size
    with runner.open("ab") as file:
        file.write(b"scribble\nscrabble\n")
    note = f"    note: 2 damaged lines in its checkpoint (runner at byte {size}: no checksum)"
    assert note in room.status().out.splitlines()


def test_a_terminal_is_not_steered_by_names(room: Room) -> None:
    (room.root / "tasks/finished").mkdir(parents=True)
    (room.root / "tasks/finished" / "\x1b[31m").write_text("{}")
    assert room.status().code == 1


def test_filters_and_sorts(room: Room) -> None:
    for task_id in ("b", "a"):
        room.run(room.task("Process(name = 'p', cmdline = 'true')"), task_id=task_id)
    room.run(room.task(QUICK), task_id="bad")
    run = room.start(room.task(SLEEP), task_id="alive")
    run.running("sleep")
    lost = room.start(room.task(SLEEP), task_id="left")
    lost.running("sleep")
    lost.kill()

    def ids(*words: str) -> list[str]:
        return [task["task_id"] for task in room.status_json(*words)]

    assert ids("--state", "failed") == ["bad"]
    assert ids("--state", "SUCCESS", "--state", "failed", "--sort", "started") == ["b", "a", "bad"]
    assert ids("--sort", "ended") == ["b", "a", "bad", "alive", "left"]
    assert ids() == ["a", "alive", "b", "bad", "left"]
    assert ids("--unattended") == ["left"]
    assert ids("--user", "nobody-of-this-name") == []
    assert len(ids("--user", str(os.geteuid()))) == 5


def test_runs_that_went_wrong_are_counted(room: Room) -> None:
    script = "[ -e again ] && exit 0; touch again; exit 3"
    room.run(room.task(f"Process(name = 'p', cmdline = '{script}', max_failures = 3, min_duration = 0)"))
    assert "- p runs: 2 (1 failed) last: pid=" in room.status("-v", "3").out
    [process] = room.status_json()[0]["processes"]
    assert (process["run"], process["failures"], process["last_end"]) == (1, 1, "exit code 0")
