"""`thermos restart`: the next run begins at once, the old one does not count as a failure."""

from __future__ import annotations

import json

import pytest

from tests.client.background import wait_for_records
from tests.client.room import Room, alive

SLEEP = "Process(name = 'sleep', cmdline = 'exec sleep 1000')"
OTHER = "Process(name = 'other', cmdline = 'exec sleep 1000')"
DONE = "Process(name = 'done', cmdline = 'true')"
LATER = "Process(name = 'later', cmdline = 'true')"
ORDER = ", constraints = [Constraint(order = ['sleep', 'later'])]"


def test_a_process_runs_again_and_nothing_failed(room: Room) -> None:
    run = room.start(room.task(SLEEP, OTHER))
    first = {name: run.running(name)["pid"] for name in ("sleep", "other")}
    done = room.thermos("restart", "--root", str(room.root), "t", "sleep")
    assert (done.code, done.err) == (0, "")
    task = wait_for_records(room, lambda task: task.active.get("sleep") == 1)
    last = task.processes["sleep"].last
    assert last is not None
    assert done.out == f"sleep[0] KILLED, sleep[1] RUNNING pid {last.pid}\n"
    assert not alive(first["sleep"])
    assert alive(first["other"])
    assert (task.processes["sleep"].failures, task.processes["sleep"].restarts) == (0, 1)


def test_several_and_all_as_json(room: Room) -> None:
    run = room.start(room.task(SLEEP, OTHER, DONE))
    run.wait_for(lambda e: e["kind"] == "exited")
    wait_for_records(room, lambda t: sum(r.last.pid > 0 for r in t.processes.values()) == 3)
    done = room.thermos("restart", "-o", "json", "--root", str(room.root), "t", "--all")
    assert done.code == 0
    told = json.loads(done.out)
    assert [(e["process"], e["run"], e["state"]) for e in told] == [("sleep", 1, "RUNNING"), ("other", 1, "RUNNING")]


def test_one_that_waits_for_its_retry_starts_at_once(room: Room) -> None:
    script = "[ -e again ] && exec sleep 1000; touch again; exit 1"
    flaky = f"Process(name = 'flaky', cmdline = '{script}', max_failures = 5, min_duration = 1000)"
    run = room.start(room.task(flaky))
    run.wait_for(lambda e: e["kind"] == "exited")
    assert room.thermos("restart", "--root", str(room.root), "t", "fla").code == 0
    wait_for_records(room, lambda t: t.active.get("flaky") == 1)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["t"], 2, "say which processes, or --all (see `thermos restart --help`)"),
        (["t", "nope"], 1, "No process matches 'nope'; there are: sleep, done, later"),
        (["t", "done"], 1, "Process done can't be restarted: it is over (SUCCESS)"),
        (["t", "later"], 1, "Process later can't be restarted: it has not been started yet"),
        (["t", "s(", "x"], 2, "bad regular expression 's('"),
        (["nothing", "x"], 1, "Could not find task 'nothing'; `thermos status` shows all"),
    ],
)
def test_what_can_not_be_is_said(room: Room, words: list[str], code: int, text: str) -> None:
    run = room.start(room.task(SLEEP, DONE, LATER, more=ORDER))
    run.wait_for(lambda e: e["kind"] == "exited")
    wait_for_records(room, lambda t: "sleep" in t.processes and t.processes["sleep"].last.pid)  # type: ignore[union-attr]
    done = room.thermos("restart", "--root", str(room.root), *words)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"thermos: {text}")
    assert done.err.count("\n") == 1


def test_a_task_that_nobody_minds_or_that_is_over(room: Room) -> None:
    run = room.start(room.task(SLEEP))
    run.running("sleep")
    run.kill()
    done = room.thermos("restart", "--root", str(room.root), "t", "sleep")
    assert done.code == 1
    assert "nobody minds it; `thermos attach t` or `thermos detach t` takes it over" in done.err
    room.kill("t")
    done = room.thermos("restart", "--root", str(room.root), "t", "sleep")
    assert (done.code, done.err) == (6, "thermos: cannot restart processes of task t: it is over (KILLED)\n")
