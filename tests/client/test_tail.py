"""`thermos tail`: which log, which lines, and following it to the end of the run across rotations."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from client.thermos.tail import Screen
from tests.client.background import background, wait_for_records
from tests.client.room import Room

TALK = "Process(name = 'talk', cmdline = 'seq 20; echo oops >&2')"
MUTE = "Process(name = 'mute', cmdline = 'true')"


def words(room: Room, *more: str) -> list[str]:
    return ["tail", "--root", str(room.root), *more]


@pytest.fixture
def talked(room: Room) -> Room:
    room.run(room.task(TALK))
    return room


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["t"], [str(n) for n in range(11, 21)]),
        (["t", "talk", "-n", "2"], ["19", "20"]),
        (["t", "ta", "-n", "all"], [str(n) for n in range(1, 21)]),
        (["t", "-n", "0"], []),
        (["--stderr", "t"], ["oops"]),
        (["t", "--run", "0", "-n", "1"], ["20"]),
        (["-f", "t", "-n", "1"], ["20"]),
        (["-F", "t", "-n", "1"], ["20"]),
    ],
)
def test_the_end_of_a_log(talked: Room, more: list[str], expected: list[str]) -> None:
    done = talked.thermos(*words(talked, *more))
    assert (done.code, done.err, done.out.splitlines()) == (0, "", expected)


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["x"], 1, "Could not find task 'x'"),
        (["t", "x"], 1, "No process that ran matches 'x'; there are: talk, mute"),
        (["t"], 1, "More than one process matches query; say which: talk, mute"),
        (["t", "talk", "--run", "7"], 1, "Process talk has no run 7; it has had 1 run, from 0 on"),
        (["t", "talk", "-n", "many"], 2, "Invalid value for '-n' / '--lines': 'many' is neither a number of lines nor"),
        (["t", "("], 2, "bad regular expression '('"),
    ],
)
def test_what_is_not_there_is_said(room: Room, more: list[str], code: int, text: str) -> None:
    room.run(room.task(TALK, MUTE))
    done = room.thermos(*words(room, *more))
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"thermos: {text}")


def test_a_task_of_which_nothing_ran(room: Room) -> None:
    room.run(room.task())
    assert room.thermos(*words(room, "t")).err == "thermos: No processes found: none has run yet\n"


def test_more_than_one_task_is_said(room: Room) -> None:
    for task_id in ("web-1", "web-2"):
        room.run(room.task(TALK), task_id=task_id)
    done = room.thermos(*words(room, "web"))
    assert (done.code, done.err) == (1, "thermos: More than one task matches 'web': web-1, web-2\n")
    assert room.thermos(*words(room, ".*2", "-n", "1")).out == "20\n"


def test_a_log_that_is_not_there(room: Room) -> None:
    room.run(room.task(TALK), "--process-logger-destination", "none")
    done = room.thermos(*words(room, "t"))
    assert done.code == 1
    assert "its output goes elsewhere, or the sandbox was removed" in done.err


def test_following_ends_with_the_run(room: Room) -> None:
    go = room.path / "go"
    os.mkfifo(go)
    run = room.start(room.task(f"Process(name = 'p', cmdline = 'echo first; read x < {go}; echo $x')"))
    run.running("p")
    with background(room, *words(room, "-f", "t")) as tail:
        tail.wait_for(lambda line: line == "first")
        with go.open("w") as file:
            file.write("last words\n")
        assert tail.end() == (0, ["last words"], "")


def test_nothing_is_lost_by_rotations(room: Room) -> None:
    """3 MB through files of 1 MB while somebody follows."""
    go = room.path / "go"
    os.mkfifo(go)
    count = 40_000
    talk = f"echo begin; read x < {go}; seq -f %0100g {count}"
    logger = "Logger(mode = 'rotate', rotate = RotatePolicy(log_size = 1*MB, backups = 9))"
    run = room.start(room.task(f"Process(name = 'p', cmdline = '{talk}', logger = {logger})"))
    run.running("p")
    with background(room, *words(room, "-f", "t", "-n", "all")) as tail:
        tail.wait_for(lambda line: line == "begin")
        with go.open("w") as file:
            file.write("now\n")
        code, lines, err = tail.end()
    assert (code, err) == (0, "")
    assert [int(line) for line in lines] == list(range(1, count + 1))
    assert (room.root / "sandboxes/t/.logs/p/0/stdout.3").exists(), "else this tests nothing"


def test_following_the_next_runs(room: Room) -> None:
    again = "echo run; [ -e two ] && exit 0; [ -e one ] && touch two; touch one; exit 1"
    flaky = f"Process(name = 'p', cmdline = '{again}', max_failures = 5, min_duration = 0)"
    run = room.start(room.task(flaky, "Process(name = 'hold', cmdline = 'exec sleep 1000')"))
    run.running("p")
    with background(room, *words(room, "-F", "--run", "0", "t", "p")) as tail:
        for _ in range(3):
            tail.wait_for(lambda line: line == "run")
        room.kill("t")
        code, lines, err = tail.end()
    assert (code, lines, err) == (0, [], "thermos: p run 1\nthermos: p run 2\n")


def test_following_a_task_that_a_runner_does_not_mind(room: Room) -> None:
    """The coordinator writes the log and the end, without anybody's help."""
    go = room.path / "go"
    os.mkfifo(go)
    run = room.start(room.task(f"Process(name = 'p', cmdline = 'echo first; read x < {go}; echo last')"))
    run.running("p")
    run.kill()
    with background(room, *words(room, "-f", "t")) as tail:
        tail.wait_for(lambda line: line == "first")
        with go.open("w") as file:
            file.write("x\n")
        assert tail.end() == (0, ["last"], "")


def test_a_symlink_in_the_sandbox_shows_nothing(room: Room) -> None:
    secret = room.path / "secret"
    secret.write_text("secret\n")
    room.run(room.task(TALK))
    log = room.root / "sandboxes/t/.logs/talk/0/stdout"
    log.unlink()
    log.symlink_to(secret)
    done = room.thermos(*words(room, "t"))
    assert done.code == 1
    assert "secret\n" not in done.out


def test_bytes_stay_bytes_in_a_pipe_and_are_harmless_on_a_terminal(
    room: Room, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J caf\xc3\xa9 \xff\n"
    Screen().write(data)
    assert capfdbinary.readouterr().out == data
    monkeypatch.setattr(os, "isatty", lambda _fd: True)
    screen = Screen()
    screen.write(data[:9])
    screen.write(data[9:])
    screen.write(b"unfinished")
    screen.end()
    shown = capfdbinary.readouterr().out.decode()
    assert shown == "\x1b[31mred\x1b[0m ?]0;title? ?[2J café �\nunfinished\n"


def test_follow_of_the_run_command(room: Room) -> None:
    both = "Process(name = 'a', cmdline = 'echo out; echo err >&2; exit 3')"
    done = room.run(
        room.task(both, "Process(name = 'long-name', cmdline = 'printf half')", more=", max_failures = 2"), "--follow"
    )
    assert done.code == 0
    lines = done.out.splitlines()
    assert "a[0]         | out" in lines
    assert "a[0]         ! err" in lines
    assert "long-name[0] | half" in lines
    ended = next(i for i, line in enumerate(lines) if "a[0] FAILED" in line)
    assert max(lines.index("a[0]         | out"), lines.index("a[0]         ! err")) < ended, "what it said comes first"
    assert "\x1b" not in done.out


def test_follow_shows_all_across_rotations(room: Room) -> None:
    logger = "Logger(mode = 'rotate', rotate = RotatePolicy(log_size = 1*MB, backups = 50))"
    count = 40_000
    done = room.run(room.task(f"Process(name = 'p', cmdline = 'seq -f %0100g {count}', logger = {logger})"), "--follow")
    shown = [int(line.partition("| ")[2]) for line in done.out.splitlines() if line.startswith("p[0] |")]
    assert shown == list(range(1, count + 1))


def test_attach_follow_begins_with_the_last_lines(room: Room) -> None:
    run = room.start(room.task("Process(name = 'p', cmdline = 'seq 50; exec sleep 1000')"))
    run.running("p")
    log = room.root / "sandboxes/t/.logs/p/0/stdout"
    wait_for_records(room, lambda _: Path(log).read_text().endswith("50\n"))
    with background(room, "attach", "--follow", "--root", str(room.root), "t") as here:
        assert here.wait_for(lambda line: line.startswith("p[0] |")) == "p[0] | 41"
        here.wait_for(lambda line: line == "p[0] | 50")
        room.kill("t")
        assert here.end()[0] == 4
