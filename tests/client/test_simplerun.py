"""`thermos simplerun`: words become a task."""

from __future__ import annotations

import pytest

from tests.client.room import Room
from thermos.paths import TaskPaths
from thermos.recovery import load_active


def simplerun(room: Room, *words: str) -> list[str]:
    return ["simplerun", "--root", str(room.root), "--task-id", "t", *words]


def output_of(room: Room, process: str = "simple") -> str:
    return (room.root / f"sandboxes/t/.logs/{process}/0/stdout").read_text()


@pytest.mark.parametrize(
    ("words", "shown", "out"),
    [
        (["echo", "hello  you"], "echo hello  you", "hello you\n"),
        (["--", "echo", "-n", "a"], "echo -n a", "a"),
        (["echo", "--name", "x"], "echo --name x", "--name x\n"),
        (["-E", "who=you", "echo hi {{who}}"], "echo hi {{who}}", "hi you\n"),
        (["-P", "http:81", "echo {{thermos.ports[http]}}"], "echo {{thermos.ports[http]}}", "81\n"),
    ],
)
def test_the_words_are_run_by_bash(room: Room, words: list[str], shown: str, out: str) -> None:
    done = room.thermos(*simplerun(room, *words))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"Running command: '{shown}'\n")
    assert output_of(room) == out


def test_the_task_is_the_original_one(room: Room) -> None:
    room.thermos(*simplerun(room, "--name", "mine", "true"))
    spec = load_active(TaskPaths(room.root, "t"))
    assert spec is not None
    assert spec.resources is not None
    assert (spec.name, spec.processes[0].name) == ("mine", "mine")
    assert (spec.resources.cpu, spec.resources.ram, spec.resources.disk) == (1.0, 256 * 1024 * 1024, 0)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "say what to run: `thermos simplerun [--] COMMAND...`"),
        (["echo {{nobody}}"], 3, "nobody"),
        (["echo {{thermos.ports[http]}}"], 2, "Unbound ports: http"),
        (["--name", "a/b", "true"], 3, "a/b"),
        (["-E", "x", "true"], 2, "x"),
    ],
)
def test_bad_words_are_a_line(room: Room, words: list[str], code: int, text: str) -> None:
    done = room.thermos(*simplerun(room, *words))
    assert done.code in (code, 2)
    assert text in done.err
    assert "Traceback" not in done.err


def test_the_exit_code_tells_how_it_ended(room: Room) -> None:
    assert room.thermos(*simplerun(room, "exit 3")).code == 1


def test_a_daemon(room: Room) -> None:
    done = room.thermos(*simplerun(room, "--daemon", "exec sleep 1000"))
    assert done.code == 0
    assert "task t is ACTIVE" in done.out
