"""What /proc says about processes: who descends from whom, who lives, what they burnt and hold."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_DEAD = "ZX"


@dataclass(frozen=True, slots=True)
class ProcStat:
    pid: int
    state: str
    ppid: int
    waited_s: float  # CPU of its children that were waited for

    @property
    def is_alive(self) -> bool:
        return self.state not in _DEAD


def read_stat(pid: int) -> ProcStat | None:
    """None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    waited = (int(fields[13]) + int(fields[14])) / _TICKS
    return ProcStat(pid, fields[0], int(fields[1]), waited)


def is_alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.is_alive


def descendants(root: int) -> list[ProcStat]:
    """Everything below `root`, zombies too."""
    children: dict[int, list[ProcStat]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a thousand Paths would be noise of our own
        if entry.isdigit() and (stat := read_stat(int(entry))) is not None:
            children.setdefault(stat.ppid, []).append(stat)
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += [stat.pid for stat in below]
    return found


def own_cpu_s(pid: int) -> float:
    """CPU of a live process' threads, to the nanosecond where the kernel says so."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return total / 1e9


def program_of(pid: int) -> str:
    """The file name of what it executes; "" when that can't be read."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Memory:
    """Summed over processes; KiB."""

    processes: int = 0
    pss: int = 0
    uss: int = 0


def memory_of(pids: list[int]) -> Memory:
    """Needs the right to read their smaps_rollup: one's own processes, or root."""
    count = pss = uss = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {name: int(kib) for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        if not sizes:
            continue
        count += 1
        pss += sizes["Pss"]
        uss += sizes["Private_Clean"] + sizes["Private_Dirty"]
    return Memory(count, pss, uss)
