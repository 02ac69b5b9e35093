"""Following an update on a terminal, and going away from it: the update never notices."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.aurora.desk import Desk
from tests.client.aurora.test_following import environment
from tests.client.aurora_update.fake_updates import FakeUpdates
from tests.client.screen import Screen
from tests.client.test_terminal_run import Terminal

AURORA = Path(sys.executable).parent / "aurora"
KEY = "rz1/www/test/web"


@pytest.mark.parametrize("words", [("start", "--wait", KEY, "web.aurora"), ("wait", KEY), ("rollback", "--wait", KEY)])
def test_ctrl_c_ends_the_following_only(desk: Desk, updates: FakeUpdates, words: tuple[str, ...]) -> None:
    children: list[subprocess.Popen[str]] = []
    before = 2 if words[0] == "wait" else 1  # looks until it is followed
    updates.steps = [*[lambda: None] * before, lambda: children[0].send_signal(signal.SIGINT)]
    child = subprocess.Popen(
        [AURORA, "update", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(desk)
    )
    children.append(child)
    _, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert err == f"aurora: no longer following; the update goes on: aurora update wait {KEY}\naurora: interrupted\n"
    assert [verb for verb, _ in updates.wishes] == (["rollback"] if words[0] == "rollback" else [])


def test_a_table_on_a_terminal(desk: Desk, updates: FakeUpdates) -> None:
    updates.steps = [
        lambda: updates.instance(0, "INSTANCE_UPDATING"),
        lambda: (updates.instance(0, "INSTANCE_UPDATED"), updates.instance(1, "INSTANCE_UPDATING")),
        lambda: (updates.instance(1, "INSTANCE_UPDATED"), updates.state("ROLLED_FORWARD")),
    ]
    words = [str(AURORA), "update", "start", "--wait", KEY, str(desk.path / "web.aurora")]
    terminal = Terminal(words, environment(desk))
    assert terminal.end() == 0
    screen = Screen()
    screen.feed(terminal.text)
    lines = [line.rstrip() for line in screen.lines() if line.strip()]
    assert lines[3].startswith(f"{KEY}  ROLLED_FORWARD  2 of 2 instances")
    assert [line.split()[:3] for line in lines[4:]] == [["●", "0", "added"], ["●", "1", "added"]]
    assert "\x1b[33m" in terminal.text, "it was in the works before"
    assert screen.cursor_visible
