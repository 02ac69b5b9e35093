"""What the processes of tasks use, measured while somebody looks: one pass over /proc for all, no more often than it is
worth."""

from __future__ import annotations

from collections.abc import Mapping

from thermos.clock import now
from thermos.core.fold import TaskRecord
from thermos.core.usage import Look, Usage, measure, tree
from thermos.monitor.sample import take_look

#: Seconds between two looks at least; a look that takes long makes it more, so that looking costs at most 4 %.
_GAP = 2.0
_SHARE = 25


class Meters:
    """Rates need two looks: what was started since the first counts from its birth."""

    def __init__(self, gap: float = _GAP) -> None:
        self._gap = gap
        self._look: Look | None = None
        self._next = 0.0
        self._usages: dict[str, Usage] = {}

    def usages(self, task: TaskRecord, mono: float) -> Mapping[str, Usage]:
        """Process -> what its active run uses; as of the last look."""
        if task.active and mono >= self._next:
            before, self._look = self._look, take_look(mono)
            self._usages = usages_of(task, self._look, before)
            self._next = mono + max(self._gap, _SHARE * (now().mono - mono))
        return {name: usage for name, usage in self._usages.items() if name in task.active}


def usages_of(task: TaskRecord, look: Look, before: Look | None) -> dict[str, Usage]:
    """Process -> what everything below the coordinator of its active run uses."""
    found = {}
    for name, number in task.active.items():
        run = task.run(name, number)
        if run is not None and run.coordinator:
            members = list(tree(look, run.coordinator, run.coordinator_start, itself=False))
            if members:
                found[name] = measure(members, look, before)
    return found


def can_measure(look: Look) -> bool:
    """Was there a /proc to read?"""
    return bool(look.procs)
