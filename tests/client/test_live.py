"""The live tree: lines from a view, and the terminal codes that change them in place."""

from __future__ import annotations

import re

from client.render import width_of
from client.terminal import Frame, paint_line
from client.thermos.live import live_lines
from tests.client.screen import Screen
from tests.client.tasks import Played, spec
from tests.thermos.core import samples
from thermos.clock import Now
from thermos.core.states import TaskState
from thermos.core.usage import NO_USAGE, Usage

NOW = Now(20.0, 20.0)


def text(played: Played, rows: int = 20, columns: int = 200, hints: dict[str, str] | None = None) -> list[str]:
    lines, _ = live_lines("t-1", played.view, played.task, NOW, rows, hints or {}, [])
    return [paint_line(line, columns, colours=False) for line in lines]


def test_a_tree_of_processes_with_their_reasons() -> None:
    played = Played(
        spec("a", "b", "final", order=[["a", "b"]]), samples.starting("a"), samples.forked("a"), samples.running("a")
    )
    assert text(played) == [
        "t-1 ACTIVE  19 s  0 of 3 done, 1 running",
        "  ● a     RUNNING  run 0         8 s  pid 101",
        "  ·   b   WAITING   waits for a",
        "  ○ final WAITING   runs at the end",
    ]


def test_a_failure_shows_its_last_words() -> None:
    lines = text(Played(spec("a"), *samples.whole_run("a", code=3)), hints={"a": "no such host"})
    assert lines[1] == "  ✗ a FAILED   run 0       1.0 s  exit code 3 | no such host"


def test_it_fits_the_terminal_whatever_the_terminal_is() -> None:
    names = [f"process-{i}-{'x' * 40}" for i in range(300)]
    played = Played(spec(*names), *samples.whole_run(names[250], code=1))
    for rows in (2, 3, 10, 40):
        for columns in (1, 10, 80):
            lines = text(played, rows, columns)
            assert len(lines) <= rows
            assert all(width_of(line) <= columns for line in lines)
    lines = text(played, 10)
    assert any("✗" in line for line in lines), "what failed is shown"
    assert lines[-1] == "  … 292 more processes"


def test_only_running_clocks_tick() -> None:
    played = Played(spec("a"), samples.starting("a"), samples.forked("a"), samples.running("a"))
    assert live_lines("t", played.view, played.task, NOW, 9, {}, [])[1]
    played.play(samples.exited("a"))
    assert not live_lines("t", played.view, played.task, NOW, 9, {}, [])[1]
    played.play(samples.status(TaskState.CLEANING, deadline=9.0), samples.status(TaskState.SUCCESS))
    assert not live_lines("t", played.view, played.task, NOW, 9, {}, [])[1]


def test_notes_stand_below_and_cost_rows() -> None:
    played = Played(spec(*[f"p{i}" for i in range(10)]))
    lines, _ = live_lines("t", played.view, played.task, NOW, 6, {}, ["cannot record: disk full"])
    assert len(lines) == 6
    assert lines[-1] == [("cannot record: disk full", "yellow")]


def test_a_frame_writes_only_what_changed() -> None:
    frame, screen = Frame(), Screen()
    screen.feed(frame.draw(["one", "two", "three"]))
    change = frame.draw(["one", "2", "three"])
    assert "one" not in change
    assert "three" not in change
    screen.feed(change)
    assert screen.lines() == ["one", "2", "three"]
    assert frame.draw(["one", "2", "three"]) == ""


def test_a_frame_grows_and_shrinks() -> None:
    frame, screen = Frame(), Screen()
    for lines in (["a"], ["a", "b", "c"], ["x"], ["x", "y"], []):
        screen.feed(frame.draw(lines))
        assert screen.lines() == lines
    screen.feed(frame.draw(["again"]) + frame.clear() + "after\n")
    assert screen.lines() == ["after"]


def test_every_frame_leaves_the_cursor_visible_and_the_colours_off() -> None:
    frame = Frame()
    for lines in (["a"], ["\x1b[31mb\x1b[0m"]):
        drawn = frame.draw(lines)
        assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")
    assert re.sub(r"\x1b\[[0-9;]*m", "", paint_line([("abc", "red"), ("def", "bold")], 4)) == "abc…"


def test_what_a_run_uses_stands_beside_it() -> None:
    played = Played(spec("web", "idle"), samples.starting("web"), samples.forked("web"), samples.running("web"))
    usages = {"web": Usage(cpu=0.531, ram=300 << 20, procs=2), "idle": NO_USAGE}
    lines, _ = live_lines("t", played.view, played.task, Now(14.0, 14.0), 10, {}, [], usages)
    shown = ["".join(text for text, _ in line) for line in lines]
    assert "  cpu 0.53  ram 300 MB" in shown[0]
    assert "  cpu  0.53  ram  300 MB" in next(line for line in shown if "web" in line)
    assert "cpu" not in next(line for line in shown if "idle" in line)
