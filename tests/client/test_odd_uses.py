"""What people and scripts do by accident: closed streams, full outputs, empty variables, no home, odd files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import client.context
from client.context import default_root, given_path, usual_roots
from client.thermos.inspect import levels_of
from tests.client.room import Room
from thermos.errors import UserError
from thermos.model import ProcessSpec, TaskSpec

TRUE = "Process(name = 'p', cmdline = 'true')"
JOB = {
    "name": "j", "role": "r", "cluster": "c", "environment": "prod",
    "task": {
        "processes": [{"name": "p", "cmdline": "true"}],
        "resources": {"cpu": 1, "ram": 1048576, "disk": 1048576},
    },
}  # fmt: skip


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(room: Room, closed: str) -> None:
    config = room.task(TRUE)
    done = room.shell(f"thermos run --root {room.root} --task-id t {config} {closed}; echo rc=$?")
    assert done.out.splitlines()[-1] == "rc=0"
    assert done.err == ""
    assert room.status_json()[0]["state"] == "SUCCESS"
    for line in (room.root / "checkpoints/t/runner").read_text().splitlines():
        json.loads(line.split(" ", 1)[1])  # nothing of what was said landed in a file of ours


@pytest.mark.parametrize("verb", ["status", "check", "inspect", "--help"])
def test_a_closed_stdout_is_no_error(room: Room, verb: str) -> None:
    config = room.task(TRUE)
    room.run(config)
    words = f"status --root {room.root}" if verb == "status" else f"{verb} {config}"
    done = room.shell(f"thermos {words} >&-; echo rc=$?")
    assert (done.out, done.err) == ("rc=0\n", "")


@pytest.mark.parametrize("verb", ["check", "inspect"])
def test_an_output_that_is_full_is_one_clear_line(room: Room, verb: str) -> None:
    done = room.shell(f"thermos {verb} {room.task(TRUE)} >/dev/full; echo rc=$?")
    assert done.out == "rc=1\n"
    assert done.err == "thermos: cannot write to standard output: No space left on device\n"


def test_a_reader_that_leaves_in_the_middle_is_silent_too(room: Room) -> None:
    config = room.task(*(f"Process(name = 'p{n}', cmdline = 'true # {'x' * 400}')" for n in range(1000)))
    done = room.shell(f"thermos inspect {config} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert (done.out, done.err) == ("task t\n0\n", "")


@pytest.mark.parametrize("option", ["--root", "--sandbox", "--task-id", "--user"])
def test_an_empty_option_is_not_taken_for_none(room: Room, option: str) -> None:
    words = ["run", "--root", str(room.root), room.task(TRUE)]
    done = room.thermos(*words, option, "")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert not (room.root / "tasks").exists()


def test_an_empty_path_is_named() -> None:
    with pytest.raises(UserError, match="--root is empty"):
        given_path("--root", "")


def test_who_has_no_home_is_told_to_name_a_root_and_may_still_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(client.context.Path, "home", no_home)
    with pytest.raises(UserError, match=r"uid 4321 has no home directory.*--root"):
        default_root()
    assert usual_roots() == [client.context.SYSTEM_ROOT]


def test_a_file_that_can_not_be_used_is_named(room: Room) -> None:
    (room.path / "file").write_text("")
    done = room.thermos("run", "--root", str(room.path / "file"), room.task(TRUE))
    assert done.code == 1
    assert str(room.path / "file") in done.err
    assert "internal error" not in done.err


def test_job_is_not_for_thermos_files(room: Room) -> None:
    done = room.thermos("inspect", "--job", "x", room.task(TRUE))
    assert done.code == 2
    assert "--job is for files with jobs" in done.err


@pytest.mark.parametrize("document", [JOB, {"jobs": [JOB]}, JOB["task"]])
def test_json_is_known_by_its_name_and_may_hold_jobs(room: Room, document: object) -> None:
    config = room.config(json.dumps(document), "c.json")
    assert room.thermos("check", config).out.endswith("c.json: ok (1 task)\n")
    assert json.loads(room.thermos("inspect", "-o", "json", config).out)["levels"] == [["p"]]


def test_jobs_are_chosen_by_key_whatever_the_file_is_called(room: Room) -> None:
    config = room.config(json.dumps({"jobs": [JOB, {**JOB, "environment": "test"}]}), "c.json")
    done = room.thermos("inspect", config)
    assert done.code == 3
    assert "\n  c/r/prod/j\n  c/r/test/j" in done.err
    assert room.thermos("inspect", "--job", "test/j", config).code == 0


def test_levels_are_in_order_with_final_processes_last() -> None:
    names = ["f", "b", "a", "g"]
    spec = TaskSpec(
        name="t",
        processes=tuple(ProcessSpec(name=name, cmdline="true", final=name in "fg") for name in names),
        order=(("a", "b"), ("f", "g")),
    )
    assert levels_of(spec) == [["a"], ["b"], ["f"], ["g"]]


def test_who_was_never_asked_is_not_said_to_have_stayed(room: Room) -> None:
    run = room.start(room.task("Process(name = 'sleep', cmdline = 'sleep 1000')"))
    run.running("sleep")
    assert room.kill("--force", "t").code == 0
    run.wait()
    assert "killed at once" in room.status("-v", "3").out
