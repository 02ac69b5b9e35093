"""A bounded history of usage, compact enough for thousands of processes: 24 bytes a sample in arrays, no objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterator


class Series:
    """The last `length` samples of (at, cpu, ram, disk); `disk` -1 stands for not known. A ring of plain numbers."""

    __slots__ = ("_at", "_cpu", "_disk", "_length", "_next", "_ram")

    def __init__(self, length: int) -> None:
        """Raises ValueError for a length below 1."""
        if length < 1:
            raise ValueError(f"a series of {length} samples holds nothing")
        self._length = length
        self._next = 0
        self._at, self._cpu = array("d"), array("f")
        self._ram, self._disk = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._at)

    @property
    def newest_at(self) -> float:
        """-inf before the first sample."""
        return self._at[self._next - 1] if self._at else float("-inf")

    def add(self, at: float, cpu: float, ram: int, disk: int | None = None) -> None:
        """`at` (mono) must not lie before the newest sample. Raises ValueError."""
        if at < self.newest_at:
            raise ValueError(f"sample at {at} is older than the newest, {self.newest_at}")
        known = -1 if disk is None else disk
        if len(self._at) < self._length:
            self._at.append(at)
            self._cpu.append(cpu)
            self._ram.append(ram)
            self._disk.append(known)
        else:
            i = self._next
            self._at[i], self._cpu[i], self._ram[i], self._disk[i] = at, cpu, ram, known
        self._next = (self._next + 1) % self._length

    def points(self) -> Iterator[tuple[float, float, int, int | None]]:
        """Oldest first."""
        count = len(self._at)
        begin = self._next if count == self._length else 0
        for step in range(count):
            i = (begin + step) % count
            disk = self._disk[i]
            yield self._at[i], self._cpu[i], self._ram[i], None if disk < 0 else disk
