"""Following a job on a terminal, and going away from it: the job never notices."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.aurora.core.instances import Seen
from client.aurora.core.progress_lines import change_line, counts_text, table_lines
from client.terminal import paint_line
from tests.client.aurora.desk import Desk
from tests.client.aurora.fake_scheduler import Body, FakeScheduler, Reply
from tests.client.screen import Screen
from tests.client.test_terminal_run import Terminal

AURORA = Path(sys.executable).parent / "aurora"
WEB = "www/test/web"
KEY = f"rz1/{WEB}"


def environment(desk: Desk, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "AURORA_CONFIG_ROOT", "NETRC")}
    return {**kept, "HOME": str(desk.path), "TERM": "xterm", "LC_ALL": "C.UTF-8", **more}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ("create", "--wait-until", "RUNNING", KEY, "web.aurora"),
            f"no longer following; the job goes on: aurora job status {KEY}",
        ),
        (("restart", f"{KEY}/0"), "stopped: instances restarted: none, 0 left; the job goes on"),
        (("kill", f"{KEY}/0"), "stopped: instances killed: none, 0 left; the job goes on"),
    ],
)
def test_ctrl_c_ends_the_following_only(desk: Desk, fake: FakeScheduler, words: tuple[str, ...], text: str) -> None:
    if words[0] != "create":
        fake.add(WEB, 0, "RUNNING")
    children: list[subprocess.Popen[str]] = []
    before = 2 if words[0] == "kill" else 1  # looks until the job is followed
    fake.steps = [*[lambda: None] * before, lambda: children[0].send_signal(signal.SIGINT)]
    child = subprocess.Popen(
        [AURORA, "job", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(desk)
    )
    children.append(child)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, err) == (130, f"aurora: {text}\naurora: interrupted\n")
    assert "succeeded" not in out
    assert fake.active(WEB), "the job goes on"


def test_a_reader_that_goes_away_is_silent(desk: Desk, fake: FakeScheduler) -> None:
    for number in range(200):
        fake.add(WEB, number, "RUNNING", config={"metadata": [{"key": "k", "value": "v" * 1000}]})
    script = f"{AURORA} job status {KEY} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, env=environment(desk))
    assert (done.stdout, done.stderr) == ("Active tasks (200):\n0\n", "")


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", "€ \\ud800"), ("latin-1", "\\u20ac \\ud800")])
def test_what_cannot_be_written_is_an_escape(desk: Desk, fake: FakeScheduler, encoding: str, text: str) -> None:
    fake.on["GET", "/quota/www"] = lambda query: (200, {"role": "€ \ud800"})
    done = subprocess.run(
        [AURORA, "quota", "get", "-o", "json", "rz1/www"],
        capture_output=True, timeout=30, env=environment(desk, PYTHONIOENCODING=encoding),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert f'"role": "{text}"' in done.stdout.decode(encoding)
    assert json.loads(done.stdout.decode(encoding)) == {"role": "€ \ud800"}


def test_closed_streams(desk: Desk, fake: FakeScheduler) -> None:
    fake.add(WEB, 0)
    script = f"{AURORA} job list rz1 >&-; echo $?; {AURORA} job list rz9 2>&-; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, env=environment(desk))
    assert (done.stdout, done.stderr) == ("0\n6\n", "")


def test_a_table_on_a_terminal(desk: Desk, fake: FakeScheduler) -> None:
    def come_up() -> None:
        for number in (0, 1):
            fake.move(fake.of(WEB, number), "ASSIGNED", "RUNNING", host=f"host{number}", message="All is well")

    fake.steps = [lambda: None, come_up]
    words = [str(AURORA), "job", "create", "--wait-until", "RUNNING", KEY, str(desk.path / "web.aurora")]
    terminal = Terminal(words, environment(desk))
    assert terminal.end() == 0
    screen = Screen()
    screen.feed(terminal.text)
    assert "\x1b[32m" in terminal.text
    lines = [line.rstrip() for line in screen.lines() if line.strip()]
    assert lines[0] == f"{KEY}  RUNNING 2"
    assert [line.split()[:3] for line in lines[1:3]] == [["●", "0", "RUNNING"], ["●", "1", "RUNNING"]]
    assert lines[1].endswith("host0  All is well")
    assert lines[3] == f"Job create succeeded: job url={fake.url}/scheduler/{WEB}"
    assert screen.cursor_visible


def test_remarks_stand_above_the_table(desk: Desk, fake: FakeScheduler) -> None:
    fake.add(WEB, 0, "RUNNING")
    fake.add(WEB, 1, "RUNNING")
    real = fake._change

    def change(job: str, verb: str, given: Body) -> Reply:
        answer = real(job, verb, given)
        (number,) = given["instances"]
        fake.move(fake.of(job, number), "KILLED")
        fake.move(fake.add(job, number), "FAILED" if number == 0 else "RUNNING", message="exit code 3")
        return answer

    fake._change = change  # type: ignore[method-assign]
    words = [str(AURORA), "job", "restart", "--max-total-failures", "1", "--watch-secs", "0", KEY]
    terminal = Terminal(words, environment(desk, NO_COLOR="1"))
    assert terminal.end() == 4
    screen = Screen()
    screen.feed(terminal.text)
    lines = [" ".join(line.split()) for line in screen.lines() if line.strip()]
    assert lines[0] == f"aurora: {KEY}/0 ended: FAILED: exit code 3"
    assert lines[1] == f"{KEY} FAILED 1, RUNNING 1"
    assert [line.split()[:3] for line in lines[2:4]] == [["✗", "0", "FAILED"], ["●", "1", "RUNNING"]]
    assert lines[4:] == [f"aurora: restart failed for instances 0 of {KEY}"]


@pytest.mark.parametrize("more", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_they_are_not_wanted(desk: Desk, fake: FakeScheduler, more: dict[str, str]) -> None:
    fake.steps = [lambda: None, lambda: [fake.move(fake.of(WEB, n), "RUNNING") for n in (0, 1)] and None]
    words = [str(AURORA), "job", "create", "--wait-until", "RUNNING", KEY, str(desk.path / "web.aurora")]
    terminal = Terminal(words, environment(desk, **more))
    assert terminal.end() == 0
    assert "\x1b[32m" not in terminal.text
    assert ("\x1b" in terminal.text) is ("TERM" not in more)


# --- lines -----------------------------------------------------------------------------------------------------------


def seen(instance: int, status: str, **more: str) -> Seen:
    return Seen(instance, f"t{instance}", status, 60_000, **more)


def text_of(known: dict[int, Seen], rows: int) -> list[str]:
    return [paint_line(line, 200, colours=False) for line in table_lines("job", known, 65_000, rows)]


def test_rows_of_the_table() -> None:
    known = {
        0: seen(0, "PENDING", message="m", reason="Insufficient: CPU"),
        1: seen(1, "FAILED", host="h", message="exit code 3"),
        2: seen(2, "NEW-STATE", host="h"),
    }
    assert text_of(known, 10) == [
        "job  PENDING 1, FAILED 1, NEW-STATE 1",
        "  ○ 0    PENDING           5 s  -  Insufficient: CPU",
        "  ✗ 1    FAILED            5 s  h  exit code 3",
        "  ○ 2    NEW-STATE         5 s  h",
    ]


def test_what_is_in_trouble_is_shown_when_there_is_no_room_for_all() -> None:
    known = {number: seen(number, "RUNNING") for number in range(100)}
    known[50], known[70] = seen(50, "PENDING"), seen(70, "LOST")
    lines = text_of(known, 5)
    assert lines[0] == "job  RUNNING 98, PENDING 1, LOST 1"
    assert [line.split()[1] for line in lines[1:4]] == ["0", "50", "70"]
    assert lines[4:] == ["  … 97 more"]
    assert len(text_of(known, 1)) == 1
    assert counts_text({}) == "no instances"


def test_lines_of_changes() -> None:
    line = change_line("rz1/a/b/c", seen(3, "RUNNING", host="h", message="well"), 0.0)
    assert line.endswith(" rz1/a/b/c/3 RUNNING on h: well")
    gone = change_line("rz1/a/b/c", seen(3, "DELETED"), 0.0)
    assert gone.endswith(" rz1/a/b/c/3 DELETED")
    assert gone.split(" ")[0] != line.split(" ")[0], "nothing says when; it was just heard"


def test_big_jobs_are_told_in_counts(desk: Desk, fake: FakeScheduler) -> None:
    instances = 60
    config = (desk.path / "web.aurora").read_text().replace("instances = 2", f"instances = {instances}")
    desk.config(config)

    def come_up() -> None:
        for number in range(instances):
            fake.move(fake.of(WEB, number), "RUNNING")

    steps: list[Callable[[], None]] = [lambda: None, come_up]
    fake.steps = steps
    done = desk.aurora("job", "create", "--wait-until", "RUNNING", KEY, "web.aurora")
    assert done.code == 0
    assert done.lines[0] == f"{KEY}: PENDING {instances}"
    assert done.lines[-2] == f"{KEY}: RUNNING {instances}"
    assert len(done.lines) < 10
