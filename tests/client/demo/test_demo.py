"""`make demo`: it goes well, and however it ends, nothing is left of it."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.local.home import until
from tests.client.room import alive
from tests.client.test_terminal_run import Terminal

TOP = Path(__file__).parents[3]
DEMO = (sys.executable, str(TOP / "scripts" / "demo"))
PATIENCE_S = 200.0


class Place:
    """Where a demo of a test lives. The machine is busy with other tests: what is waited for are lines."""

    def __init__(self, path: Path) -> None:
        self.home, self.path = path, path / "demo"
        self.environment = {"PATH": os.environ["PATH"], "DEMO_PLACE": str(self.path), "LC_ALL": "C.UTF-8"}

    def start(self, *front: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*front, *DEMO], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**self.environment, **more},
        )  # fmt: skip

    def as_nobody(self) -> tuple[str, ...]:
        """Words that run a command without rights, where root runs the tests: with one capability, to find a Python
        that lies in root's home."""
        if os.geteuid() != 0:
            return ()
        nobody = pwd.getpwnam("nobody")
        os.chown(self.home, nobody.pw_uid, nobody.pw_gid)
        rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--clear-groups")
        return ("setpriv", *rights, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}")

    def pids(self) -> list[int]:
        """Of everything that was started from here."""
        mark, found = os.fsencode(str(self.path)), []
        for process in Path("/proc").iterdir():
            try:
                ours = process.name.isdigit() and mark in (process / "environ").read_bytes()
            except OSError:
                continue
            if ours and alive(int(process.name)):
                found.append(int(process.name))
        return found

    def check_nothing_left(self) -> None:
        assert self.pids() == []
        assert not self.path.exists()


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr("tests.client.test_terminal_run.PATIENCE", PATIENCE_S)
    with tempfile.TemporaryDirectory(prefix="aurora-demo-", dir="/tmp") as path:  # where anybody may go
        made = Place(Path(path))
        yield made
        for pid in made.pids():
            os.kill(pid, signal.SIGKILL)


def read_until(demo: subprocess.Popen[str], wanted: str) -> str:
    assert demo.stdout is not None
    text = ""
    for line in demo.stdout:
        text += line
        if wanted in line:
            return text
    raise AssertionError(f"it ended without {wanted!r}: {text}")


def child_of(pid: int) -> int:
    """0: it has none now."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text() or 0)


def test_on_a_terminal_it_stays_until_control_c_and_make_is_content(place: Place, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"demo:\n\t@{' '.join(DEMO)}\n")
    terminal = Terminal(["/usr/bin/env", "make", "-C", str(tmp_path), "demo"], {**place.environment, "TERM": "xterm"})
    terminal.read_until(lambda text: "Ctrl-C ends it" in text)
    urls = re.findall(r"^  (http://127\.0\.0\.1[1-4]:\d+/)\r$", terminal.text, re.MULTILINE)
    assert len(urls) == 4
    with urllib.request.urlopen(urls[0], timeout=30) as answer:
        assert answer.status == 200
    terminal.type("\x03")
    assert terminal.end() == 0, terminal.text
    typed = re.findall(r"^(\$ aurora .*)\r$", terminal.text, re.MULTILINE)
    assert len(typed) == 3
    told = (TOP / "README.md").read_text().splitlines()
    assert [line for line in typed if line not in told] == [], "it is the story of the README"
    place.check_nothing_left()


def test_a_user_without_rights_ends_it_in_the_middle(place: Place) -> None:
    with place.start(*place.as_nobody()) as demo:
        text = read_until(demo, "INSTANCE_UPDATING")
        demo.send_signal(signal.SIGTERM)
        more, _ = demo.communicate(timeout=PATIENCE_S)
    assert demo.returncode == 143, text + more
    assert "ROLLED_FORWARD" not in more
    place.check_nothing_left()


def test_what_kill_9_has_left_is_cleared_by_the_next_one_which_fails_without_a_trace(place: Place) -> None:
    with place.start() as demo:
        read_until(demo, "INSTANCE_UPDATING")
        with place.start() as second:
            out, _ = second.communicate(timeout=PATIENCE_S)
        assert (second.returncode, out) == (1, "demo: a demo is running here already\n")
        child = child_of(demo.pid)
        demo.kill()
    until(lambda: not alive(child), "end of what it was running")
    assert place.pids(), "the cluster goes on"
    with place.start() as again:
        text = read_until(again, "$ aurora local up")
        assert "cluster rz1 is down" in text
        os.kill(until(lambda: child_of(again.pid), "local up"), signal.SIGKILL)
        more, _ = again.communicate(timeout=PATIENCE_S)
    assert again.returncode == 1, text + more
    assert "demo: `aurora local up` failed with exit code -9\n" in more
    place.check_nothing_left()


def test_a_word_that_is_no_number_is_said_at_once(place: Place) -> None:
    with place.start(DEMO_SECONDS="soon") as demo:
        out, _ = demo.communicate(timeout=PATIENCE_S)
    assert (demo.returncode, out) == (1, "demo: DEMO_SECONDS=soon: that is no number of seconds\n")
    place.check_nothing_left()
