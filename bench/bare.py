"""The bare limits: what plain Python needs for the same work, with nothing around it. Each command runs under
`/bin/bash -c`, as ours does. Run by path with `python -I -S`; imports nothing of ours.

    bare.py chain FILE                  the commands of FILE (one a line), one after another
    bare.py fanout FILE LIMIT           all of them, at most LIMIT at a time (0: no limit)
    bare.py keep FILE                   keep them all running; SIGTERM: SIGTERM to all, wait, leave
    bare.py file FILE LOG               the command with its output in LOG
    bare.py rotate FILE LOG SIZE COUNT  its output through a pipe into LOG, LOG.1 …
    bare.py both FILE LOG               its output through a pipe into LOG and to stdout
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

SHELL = "/bin/bash"
PIECE = 65536


def spawn(command: str, stdout: int | None = None) -> int:
    actions = [] if stdout is None else [(os.POSIX_SPAWN_DUP2, stdout, 1)]
    return os.posix_spawn(SHELL, [SHELL, "-c", command], os.environ, file_actions=actions)


def chain(commands: list[str]) -> int:
    for command in commands:
        if os.waitpid(spawn(command), 0)[1]:
            return 1
    return 0


def fanout(commands: list[str], limit: int) -> int:
    live = 0
    for command in commands:
        if limit and live == limit:
            if os.waitpid(-1, 0)[1]:
                return 1
            live -= 1
        spawn(command)
        live += 1
    return int(any(os.waitpid(-1, 0)[1] for _ in range(live)))


def keep(commands: list[str]) -> int:
    running: dict[int, str] = {}
    stopping = False

    def on_stop(signum: int, frame: object) -> None:
        nonlocal stopping
        stopping = True
        for pid in list(running):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_stop)
    for command in commands:
        running[spawn(command)] = command
    while running:
        pid, _ = os.waitpid(-1, 0)
        command = running.pop(pid)
        if not stopping:
            running[spawn(command)] = command
    return 0


def open_log(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def log_to_file(command: str, log: str) -> int:
    return os.waitpid(spawn(command, open_log(log)), 0)[1]


def write_all(fd: int, piece: bytes) -> None:
    while piece:
        piece = piece[os.write(fd, piece) :]


def pump(command: str, log: str, size: int, count: int, copy_to: int | None) -> int:
    reader, writer = os.pipe()
    pid = spawn(command, writer)
    os.close(writer)
    fd, held = open_log(log), 0
    while piece := os.read(reader, PIECE):
        write_all(fd, piece)
        if copy_to is not None:
            write_all(copy_to, piece)
        held += len(piece)
        if size and held >= size:
            os.close(fd)
            for number in range(count - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{log}.{number}", f"{log}.{number + 1}")  # noqa: PTH104 - pathlib is not bare
            os.rename(log, f"{log}.1")  # noqa: PTH104
            fd, held = open_log(log), 0
    return os.waitpid(pid, 0)[1]


def main(argv: list[str]) -> int:
    mode, path, *rest = argv
    with open(path) as file:
        commands = file.read().splitlines()
    match mode:
        case "chain":
            return chain(commands)
        case "fanout":
            return fanout(commands, int(rest[0]))
        case "keep":
            return keep(commands)
        case "file":
            return log_to_file(commands[0], rest[0])
        case "rotate":
            return pump(commands[0], rest[0], int(rest[1]), int(rest[2]), None)
        case "both":
            return pump(commands[0], rest[0], 0, 0, 1)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
