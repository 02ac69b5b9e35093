"""`thermos run` on a terminal: it draws in place, ends clean, and Ctrl-C works."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import termios
from collections.abc import Callable

import pytest

from tests.client.room import PATIENCE, THERMOS, Room
from tests.client.screen import Screen

COLUMNS, LINES = 110, 12


class Terminal:
    """A command on a pseudo terminal that a test reads, types into and resizes."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._fd, slave = os.openpty()
        self.resize(LINES, COLUMNS)  # before anybody asks for it
        self.pid = os.fork()
        if self.pid == 0:
            os.login_tty(slave)
            os.execve(command[0], command, environment)
        os.close(slave)
        self.text = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def read_until(self, wanted: Callable[[str], object]) -> None:
        """Read on until the text since now is as wanted."""
        begin = len(self.text)
        while not wanted(self.text[begin:]):
            assert self._read(), f"it ended before: {self.text[-2000:]!r}"

    def _read(self) -> bool:
        assert select.select([self._fd], [], [], PATIENCE)[0], f"nothing more came: {self.text[-2000:]!r}"
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:  # EIO: the other side is closed
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def screen(self) -> Screen:
        screen = Screen()
        screen.feed(self.text.replace("\r\n", "\n"))
        return screen


def start(room: Room, config: str, *more: str, **environment: str) -> Terminal:
    command = [str(THERMOS), "run", "--root", str(room.root), "--task-id", "t", *more, config]
    return Terminal(command, room.environment(**{"TERM": "xterm", **environment}))


def test_it_draws_in_place_and_leaves_the_result(room: Room) -> None:
    bad = "Process(name = 'bad', cmdline = 'echo because >&2; exit 3')"
    after = "Process(name = 'after', cmdline = 'true')"
    terminal = start(room, room.task(bad, after, more=", constraints = [Constraint(order = ['bad', 'after'])]"))
    assert terminal.end() == 1
    screen = terminal.screen()
    lines = screen.lines()
    assert screen.cursor_visible
    assert re.match(r"t FAILED  [0-9.]+ s  0 of 2 done, 1 failed  1 failed process: bad", lines[0])
    assert re.match(r"  ✗ bad +FAILED +run 0 +[0-9.]+ s  exit code 3 \| because", lines[1])
    assert re.match(r"  -   after -+ +not run", lines[2]), lines[2]
    assert re.match(r"task t FAILED after [0-9.]+ s: 1 failed process: bad", lines[3])
    assert len([line for line in lines if " ACTIVE" in line]) == 0, "earlier frames are gone"
    assert "\x1b[31m" in terminal.text


def test_no_color_has_no_colours(room: Room) -> None:
    terminal = start(room, room.task("Process(name = 'p', cmdline = 'true')"), NO_COLOR="1")
    assert terminal.end() == 0
    assert re.search(r"\x1b\[[0-9;]+m", terminal.text) is None


@pytest.mark.parametrize("words", [["--plain"], ["--process-logger-destination", "console"]])
def test_plain_lines_when_asked_or_when_processes_write_there(room: Room, words: list[str]) -> None:
    terminal = start(room, room.task("Process(name = 'p', cmdline = 'true')"), *words)
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text
    assert "p[0] SUCCESS" in terminal.text


def test_control_c_stops_politely_and_says_so(room: Room) -> None:
    terminal = start(room, room.task("Process(name = 'sleep', cmdline = 'exec sleep 1000')"))
    terminal.read_until(lambda text: "pid " in text)
    terminal.type("\x03")
    assert terminal.end() == 4
    lines = terminal.screen().lines()
    assert any("stopping; interrupt again to kill everything now" in line for line in lines)
    assert any(line.startswith("task t KILLED") for line in lines)


def test_a_clock_ticks_and_a_resize_draws_anew(room: Room) -> None:
    terminal = start(room, room.task("Process(name = 'sleep', cmdline = 'exec sleep 1000')"))
    terminal.read_until(lambda text: re.search(r"RUNNING.*  [1-9]\d* s", text))
    terminal.resize(LINES, 40)
    terminal.read_until(lambda text: "\x1b[J" in text and "sleep" in text)
    terminal.type("\x03")
    assert terminal.end() == 4


def test_many_processes_fit_the_screen(room: Room) -> None:
    listed = [f"Process(name = 'p{i}', cmdline = 'true')" for i in range(40)]
    terminal = start(room, room.task(*listed, "Process(name = 'bad', cmdline = 'exit 9')", more=", max_failures = 2"))
    assert terminal.end() == 0
    lines = terminal.screen().lines()
    frame = lines[: next(i for i, line in enumerate(lines) if line.startswith("task t SUCCESS"))]
    assert len(frame) == LINES - 1
    assert any("✗ bad" in line for line in frame)
    assert "more processes" in frame[-1]


def test_what_runs_has_its_cpu_and_ram(room: Room) -> None:
    terminal = start(room, room.task("Process(name = 'busy', cmdline = 'while :; do :; done')"))
    terminal.read_until(lambda text: re.search(r"busy.*RUNNING.*cpu +(?!0\.00)\d\.\d+.*ram +[0-9.]+ MB", text))
    terminal.type("\x03")
    assert terminal.end() == 4


def test_a_daemon_is_looked_at_live_and_goes_on(room: Room) -> None:
    config = room.task("Process(name = 'sleep', cmdline = 'exec sleep 1000')")
    assert room.run(config, "--daemon").code == 0
    command = [str(THERMOS), "attach", "--watch", "--root", str(room.root), "t"]
    terminal = Terminal(command, room.environment(TERM="xterm"))
    terminal.read_until(lambda text: re.search(r"sleep.*RUNNING", text))
    terminal.resize(LINES, 50)
    terminal.read_until(lambda text: "\x1b[J" in text and "sleep" in text)
    terminal.type("\x03")
    assert terminal.end() == 0
    assert [task["attendance"] for task in room.status_json()] == ["attended"]


def test_top_changes_in_place(room: Room) -> None:
    room.run(room.task("Process(name = 'sleep', cmdline = 'exec sleep 1000')"), "--daemon")
    command = [str(THERMOS), "top", "--root", str(room.root), "-d", "0.1"]
    terminal = Terminal(command, room.environment(TERM="xterm"))
    row = r"  sleep +0 +\d+ +0\.00 +"  # its beginning costs something
    terminal.read_until(lambda text: text.count("active task") >= 3 and re.search(row, text))
    terminal.type("\x03")
    assert terminal.end() == 0
    lines = terminal.screen().lines()
    assert len([line for line in lines if "TASK / PROCESS" in line]) == 1
    assert re.match(row, lines[3])
