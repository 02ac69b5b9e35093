"""A room for tests that run the installed `thermos`: a root, config files, and nothing left when the test is over.

Nothing here sleeps: tests wait for lines that the command writes, for its end, or for a FIFO that a process writes to.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THERMOS = Path(sys.executable).parent / "thermos"
PATIENCE = 30.0

Event = dict[str, Any]


@dataclass(slots=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


class Running:
    """A `thermos run -o json` in the background; its lines are read as they come."""

    def __init__(self, command: Sequence[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        self.pid = self._process.pid
        self._buffer = b""
        self.events: list[Event] = []
        self._given: set[int] = set()

    def wait_for(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event that is wanted; those before it are kept in `events`."""
        end = time.monotonic() + PATIENCE
        while True:
            event = self._next(end)
            assert event is not None, f"the command ended after {self.events}\n{self._stderr()}"
            self.events.append(event)
            if wanted(event):
                return event

    def _next(self, end: float) -> Event | None:
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            left = end - time.monotonic()
            ready, _, _ = select.select([fd], [], [], max(0.0, left))
            assert ready, f"waited {PATIENCE} s in vain after {self.events}"
            data = os.read(fd, 65536)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        event: Event = json.loads(line)
        return event

    def running(self, process: str) -> Event:
        """The last `running` of this process, if it was seen already; else the next. Processes come up in any order."""

        def is_wanted(event: Event) -> bool:
            return bool(event["kind"] == "running" and event["process"] == process)

        seen = [event for event in self.events if is_wanted(event) and id(event) not in self._given]
        event = seen[-1] if seen else self.wait_for(is_wanted)
        self._given.add(id(event))
        return event

    def signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    def end(self) -> tuple[int, Event]:
        """(exit code, summary)"""
        summary = self.wait_for(lambda e: e["kind"] == "summary")
        return self.wait(), summary

    def wait(self) -> int:
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """kill -9; its coordinators live on."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def _stderr(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read().decode() if self._process.poll() is not None else ""

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


class Room:
    """Files and a root below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path / "root"
        self._started: list[Running] = []

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "LC_ALL": "C.UTF-8", **more}

    def config(self, text: str, name: str = "task.thermos") -> str:
        (self.path / name).write_text(text)
        return str(self.path / name)

    def task(self, *processes: str, more: str = "", name: str = "t") -> str:
        """A config of `Process(…)` texts."""
        listed = ", ".join(processes)
        resources = "Resources(cpu = 1, ram = 1*MB, disk = 1*MB)"
        text = f"export(Task(name = {name!r}, resources = {resources}, processes = [{listed}]{more}))\n"
        return self.config(text, f"{name}.thermos")

    def thermos(self, *arguments: str, **environment: str) -> Done:
        """Run it to its end."""
        done = subprocess.run(
            [str(THERMOS), *arguments],
            capture_output=True, text=True, timeout=PATIENCE, env=self.environment(**environment), cwd=self.path,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str) -> Done:
        """A bash script that finds `thermos` in its PATH."""
        environment = self.environment()
        environment["PATH"] = f"{THERMOS.parent}:{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=PATIENCE, env=environment, cwd=self.path,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def run(self, config: str, *more: str, task_id: str = "t") -> Done:
        return self.thermos("run", "--root", str(self.root), "--task-id", task_id, *more, config)

    def start(self, config: str, *more: str, task_id: str = "t") -> Running:
        command = [str(THERMOS), "run", "-o", "json", "--root", str(self.root), "--task-id", task_id, *more, config]
        running = Running(command, self.environment())
        self._started.append(running)
        return running

    def status(self, *arguments: str) -> Done:
        return self.thermos("status", "--root", str(self.root), *arguments)

    def status_json(self, *arguments: str) -> list[Event]:
        listed: list[Event] = json.loads(self.status("-o", "json", *arguments).out)
        return listed

    def kill(self, *arguments: str) -> Done:
        return self.thermos("kill", "--root", str(self.root), *arguments)

    @contextmanager
    def fifo(self, name: str) -> Iterator[Callable[[], str]]:
        """A FIFO for processes to write to; the callable waits for the next line."""
        path = self.path / name
        os.mkfifo(path)
        fd = os.open(path, os.O_RDWR)  # ours too, so that it never ends
        buffer = bytearray()

        def line() -> str:
            while b"\n" not in buffer:
                ready, _, _ = select.select([fd], [], [], PATIENCE)
                assert ready, f"nobody wrote to {path}"
                buffer.extend(os.read(fd, 4096))
            text, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            return text.decode()

        try:
            yield line
        finally:
            os.close(fd)

    def tidy(self) -> None:
        """End everything, and prove it."""
        for running in self._started:
            running.close()
        if self.root.exists():
            self.kill("--force", ".*")
            assert self.status("--only", "active").out in ("No tasks found.\n", ""), "a task was left"


def alive(pid: int) -> bool:
    """Is there such a process, and no zombie?"""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return False
    return stat[stat.rindex(b")") + 2 :].split()[0] not in (b"Z", b"X")
