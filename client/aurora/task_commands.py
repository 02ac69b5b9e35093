"""Several commands at once, their output line by line: no line is ever cut by another's.

Each has one pipe for what it says (stdout and stderr alike), and nothing to read. A command is over when it has ended
and nobody holds its pipe any more, as with ssh.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from thermos.errors import HostError

#: Bytes of a line that has no end; it is shown in pieces.
_LONGEST = 64 * 1024

_READ = 64 * 1024
_PATIENCE_S = 2.0


@dataclass(slots=True)
class _Running:
    number: int
    process: subprocess.Popen[bytes]
    pidfd: int
    rest: bytearray = field(default_factory=bytearray)
    is_silent: bool = False
    code: int | None = None

    @property
    def pipe(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def lines(self, data: bytes) -> Iterator[str]:
        """What is complete now; no data: what is left."""
        self.rest += data
        *complete, rest = self.rest.split(b"\n")
        if rest and (not data or len(rest) >= _LONGEST):
            complete, rest = [*complete, rest], bytearray()
        self.rest = bytearray(rest)
        for line in complete:
            yield line.decode("utf-8", "replace")


def run_commands(
    commands: Sequence[Sequence[str]], at_once: int, say: Callable[[int, str], None], *, shells: bool = False
) -> list[int]:
    """The exit code of each command, in their order; `say(number, line)` hears what they say.

    `shells`: each gets a process group, so that what it has started ends with it. (ssh may have to ask something on the
    terminal, which only our own group may.)
    Raises HostError: one can't be started. Whatever is raised, none is left behind.
    """
    codes: dict[int, int] = {}
    waiting = list(enumerate(commands))[::-1]
    running: list[_Running] = []
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < at_once:
                    running.append(_start(selector, *waiting.pop(), shells))
                for key, _ in selector.select():
                    _attend(selector, key.data, key.fd, say)
                for each in [each for each in running if each.is_silent and each.code is not None]:
                    running.remove(each)
                    codes[each.number] = each.code or 0
                    _close(each)
        finally:
            _end(running, shells)
    return [codes[number] for number in range(len(commands))]


def shell_code(wait_code: int) -> int:
    """An exit code as shells tell it: a signal is 128 and its number."""
    return wait_code if wait_code >= 0 else 128 - wait_code


def _start(selector: selectors.BaseSelector, number: int, command: Sequence[str], is_shell: bool) -> _Running:
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=0 if is_shell else None,
        )
    except OSError as error:
        raise HostError(f"cannot run {command[0]}: {error.strerror}") from error
    started = _Running(number, process, os.pidfd_open(process.pid))
    selector.register(started.pipe, selectors.EVENT_READ, started)
    selector.register(started.pidfd, selectors.EVENT_READ, started)
    return started


def _attend(selector: selectors.BaseSelector, each: _Running, fd: int, say: Callable[[int, str], None]) -> None:
    if fd == each.pidfd:
        each.code = shell_code(each.process.wait())
        selector.unregister(fd)
        return
    data = os.read(fd, _READ)
    for line in each.lines(data):
        say(each.number, line)
    if not data:
        each.is_silent = True
        selector.unregister(fd)


def _close(each: _Running) -> None:
    assert each.process.stdout is not None
    each.process.stdout.close()
    os.close(each.pidfd)


def _end(running: Sequence[_Running], shells: bool) -> None:
    """Politely, then not."""
    for each in running:
        _signal(each, signal.SIGTERM, shells)
    for each in running:
        try:
            each.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            _signal(each, signal.SIGKILL, shells)
            each.process.wait()
        _close(each)


def _signal(each: _Running, number: signal.Signals, shells: bool) -> None:
    """To the command, or to its whole group, as long as the command has not been waited for."""
    if each.process.returncode is not None:
        return
    if shells:
        os.killpg(each.process.pid, number)
    else:
        each.process.send_signal(number)
