"""payload.c in plain Python, for machines without a compiler: the same verbs, the same marks, a slower start.

Run by path with `python -I -S`; imports nothing of ours.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time


def mark(marks: str, ident: str, kind: str, extra: str = "") -> None:
    line = f"{kind} {ident} {os.getpid()} {time.monotonic_ns()}{extra}\n"
    fd = os.open(marks, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)


def hold(marks: str, ident: str) -> None:
    def on_stop(signum: int, frame: object) -> None:
        mark(marks, ident, "T")
        os._exit(0)

    signal.signal(signal.SIGTERM, on_stop)
    signal.signal(signal.SIGINT, on_stop)
    mark(marks, ident, "S")
    while True:
        signal.pause()


def pour(marks: str, ident: str, total: int, line: int, size: int) -> None:
    ring = (b"x" * (line - 1) + b"\n") * (size // line + 2)
    mark(marks, ident, "S")
    done = 0
    while done < total:
        start = done % line
        done += os.write(1, ring[start : start + min(size, total - done)])
    used = resource.getrusage(resource.RUSAGE_SELF)
    mark(marks, ident, "E", f" {round((used.ru_utime + used.ru_stime) * 1e6)}")


def main(argv: list[str]) -> int:
    verb, marks, ident, *rest = argv
    if verb == "begin":
        if rest[0] != "-":
            with open(rest[0], "w") as procs:
                procs.write("0")
        mark(marks, ident, "B")
        os.execvp(rest[1], rest[1:])
    elif verb == "mark":
        mark(marks, ident, "S")
        return int(rest[0])
    elif verb == "hold":
        hold(marks, ident)
    elif verb == "become":
        mark(marks, ident, "S")
        os.execvp(rest[0], rest)
    elif verb == "pour":
        pour(marks, ident, *map(int, rest))
        return 0
    return 96


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
