"""Commands in the background whose lines a test waits for, and waiting for records. Nothing sleeps."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.client.room import PATIENCE, THERMOS, Room
from thermos.core.fold import TaskRecord
from thermos.host.kernel import Kernel
from thermos.monitor.follow import Follower
from thermos.monitor.watch import Watch
from thermos.paths import TaskPaths


class Background:
    """A `thermos …` whose stdout is read line by line."""

    def __init__(self, room: Room, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [str(THERMOS), *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=room.environment(**environment), cwd=room.path,
        )  # fmt: skip
        self.pid = self._process.pid
        self.seen: list[str] = []
        self._buffer = b""

    def line(self) -> str | None:
        """The next line; None at the end."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        while b"\n" not in self._buffer:
            assert select.select([fd], [], [], PATIENCE)[0], f"waited in vain after {self.seen}"
            data = os.read(fd, 65536)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.seen.append(line.decode())
        return self.seen[-1]

    def wait_for(self, wanted: Callable[[str], object]) -> str:
        while True:
            line = self.line()
            assert line is not None, f"it ended after {self.seen}"
            if wanted(line):
                return line

    def signal(self, signum: int) -> None:
        self._process.send_signal(signum)

    def end(self) -> tuple[int, list[str], str]:
        """(exit code, the lines that were not read yet, stderr)"""
        before = len(self.seen)
        while self.line() is not None:
            pass
        assert self._process.stderr is not None
        err = self._process.stderr.read().decode()
        return self._process.wait(PATIENCE), self.seen[before:], err

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


@contextmanager
def background(room: Room, *arguments: str, **environment: str) -> Iterator[Background]:
    running = Background(room, *arguments, **environment)
    try:
        yield running
    finally:
        running.close()


def wait_for_records(room: Room, wanted: Callable[[TaskRecord], object], task_id: str = "t") -> TaskRecord:
    """The task once its records are as wanted."""
    paths = TaskPaths(room.root, task_id)
    records, watch = Follower(paths, Kernel()), Watch()
    watch.add(paths.checkpoint)
    end = time.monotonic() + PATIENCE
    try:
        while True:
            records.read()
            if wanted(records.task):
                return records.task
            assert time.monotonic() < end, f"waited in vain: {records.task}"
            watch.wait(1.0)
    finally:
        watch.close()
        records.close()


def wait_until_gone(pid: int) -> None:
    """Until there is no such process."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], PATIENCE)[0], f"{pid} lives on"
    finally:
        os.close(pidfd)
