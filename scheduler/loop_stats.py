"""What the loop counts of itself: turns, operations, and how long a turn waits until it is durable; and backups."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

#: Upper bounds of the histogram in seconds; what is beyond the last is in the total alone.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopStats(Struct):
    """`within[i]`: commits that took at most BOUNDS_S[i], and longer than the bound before."""

    turns: int = 0
    ops: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    failed_commits: int = 0
    bugs: int = 0
    within: list[int] = field(default_factory=lambda: [0] * len(BOUNDS_S))

    def committed(self, seconds: float) -> None:
        self.commits += 1
        self.commit_seconds += seconds
        for index, bound in enumerate(BOUNDS_S):
            if seconds <= bound:
                self.within[index] += 1
                break

    def asdict(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)


class BackupStats(Struct):
    """`last_at`: the wall moment of the last one that this process made; 0: none yet."""

    succeeded: int = 0
    failed: int = 0
    last_at: float = 0.0
