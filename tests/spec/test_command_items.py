"""The command line of the original: item 132 of the checklist and defect 21 (spec/thermos.md §3, §6.2, §7.4)."""

from __future__ import annotations

import json

import pytest

from tests.client.room import Room

TASK = "Task(name = '{0}', processes = [Process(name = '{0}', cmdline = 'echo {0}')])"


def log(room: Room, process: str, task_id: str = "t") -> str:
    return (room.root / f"sandboxes/{task_id}/.logs/{process}/0/stdout").read_text()


@pytest.mark.parametrize("verb", ["run", "inspect", "check"])
def test_132_a_config_needs_a_task(room: Room, verb: str) -> None:
    done = room.thermos(verb, room.config("x = 1\n"))
    assert done.code == 3
    assert "No tasks specified!" in done.out + done.err


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ((), 3, "Multiple tasks in config but no task name specified! Choose one with --task: one, two"),
        (("--task", "three"), 3, "Could not find task three!"),
        (("--task", "two"), 0, "task t SUCCESS"),
    ],
)
def test_132_of_several_tasks_one_is_named(room: Room, options: tuple[str, ...], code: int, text: str) -> None:
    done = room.run(room.config("".join(f"export({TASK.format(name)})\n" for name in ("one", "two"))), *options)
    assert done.code == code, done
    assert text in done.out + done.err
    if not code:
        assert log(room, "two") == "two\n"


@pytest.mark.parametrize("arguments", [[], ["one.thermos", "two.thermos"]], ids=["none", "two"])
def test_132_there_is_one_config(room: Room, arguments: list[str]) -> None:
    for name in arguments:
        room.config(f"export({TASK.format('x')})\n", name)
    done = room.thermos("run", "--root", str(room.root), *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_132_json_is_read_when_asked_or_by_its_name(room: Room) -> None:
    text = json.dumps({"name": "j", "processes": [{"name": "p", "cmdline": "echo {{thermos.task_id}}"}]})
    assert room.run(room.config(text, "task"), "--json").code == 0
    assert log(room, "p") == "t\n"
    assert room.run(room.config(text, "task.json"), task_id="u").code == 0
    assert log(room, "p", "u") == "u\n"
    refused = room.run(room.config("export(1)", "no"), "--json", task_id="v")
    assert refused.code == 3
    assert "not valid JSON" in refused.err


@pytest.mark.parametrize(
    ("words", "command", "out"),
    [
        (["echo", "a", "b"], "echo a b", "a b\n"),
        (["--", "echo", "-n", "x"], "echo -n x", "x"),
        (["echo", "--name"], "echo --name", "--name\n"),
        (["echo  'two  blanks' && exit 0"], "echo  'two  blanks' && exit 0", "two  blanks\n"),
        (["-E", "who=you", "echo", "{{who}}"], "echo {{who}}", "you\n"),
        (["-P", "http:80", "echo", "{{thermos.ports[http]}}"], "echo {{thermos.ports[http]}}", "80\n"),
    ],
)
def test_132_simplerun_joins_its_words_and_binds_them(room: Room, words: list[str], command: str, out: str) -> None:
    """The original ignored -E."""
    done = room.thermos("simplerun", "--root", str(room.root), "--task-id", "t", *words)
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == f"Running command: '{command}'"
    assert log(room, "simple") == out


def test_132_simplerun_tells_how_its_command_ended(room: Room) -> None:
    assert room.thermos("simplerun", "--root", str(room.root), "--name", "n", "exit", "9").code == 1
    [task] = room.status_json()
    assert [(p["process"], p["code"]) for p in task["processes"]] == [("n", 9)]
    assert room.thermos("simplerun", "--root", str(room.root)).code == 2
    assert room.thermos("simplerun", "--root", str(room.root), "{{nobody}}").code == 3


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        ([], ["app-1", "app-2", "web"]),
        (["app"], ["app-1", "app-2"]),
        (["app-[2-9]$"], ["app-2"]),
        ([r"eb"], []),
        ([".*eb", "app-1"], ["app-1", "web"]),
        (["ap"], ["app-1", "app-2"]),
    ],
)
def test_132_status_matches_at_the_beginning_of_ids(room: Room, patterns: list[str], shown: list[str]) -> None:
    finished = room.root / "tasks" / "finished"
    finished.mkdir(parents=True)
    for name in ("app-1", "app-2", "web"):
        (finished / name).write_text("{}")
    done = room.status(*patterns)
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == shown
    assert done.code == (0 if shown else 1)


def test_21_two_runs_share_no_sandbox(room: Room) -> None:
    config = room.task("Process(name = 'p', cmdline = 'ls; touch mine')")
    for task_id in ("a", "b"):
        assert room.run(config, task_id=task_id).code == 0
        assert log(room, "p", task_id) == ""
