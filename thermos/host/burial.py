"""Coordinators that ended: what is recorded of their runs when they did not record it themselves.

One that never recorded anything is tried again, a few times (`Respawns`). One that died at work is buried: what was
left of its run has been swept (`proctree`), and the run becomes LOST, unless the kernel still knew how its main ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from thermos.clock import Now
from thermos.core.fold import Run
from thermos.core.records import AnyRecord, Exited, Gone, Lost, Stopped
from thermos.host.proctree import Swept, exit_of

#: Exit codes of a coordinator that recorded nothing, and will not do so next time (docs/coordinator.md).
_HOPELESS = (100, 111)
_BUSY = 4
_UNBEGUN = 5
_RESPAWN_DELAY = 0.1
_RESPAWN_TRIES = 5

_NEVER = float("inf")

Key = tuple[str, int]


class Respawns:
    """Runs whose coordinator has to be started again, by (process, run): when (mono), and how often it was tried."""

    def __init__(self) -> None:
        self._runs: dict[Key, tuple[float, int]] = {}

    def add(self, key: Key, now: Now) -> None:
        """At once."""
        self._runs[key] = (now.mono, 0)

    def never_came(self, key: Key, status: int | None, now: Now) -> str:
        """Its coordinator ended, with this wait status, before it recorded anything. "" when it will be tried again;
        else why not."""
        code = os.waitstatus_to_exitcode(status) if status is not None else None
        _, tries = self._runs.get(key, (0.0, 0))
        if code in _HOPELESS or (code != _BUSY and tries >= _RESPAWN_TRIES):
            self._runs.pop(key, None)
            return f"the coordinator ended with {code} before it began"
        self._runs[key] = (now.mono + _RESPAWN_DELAY * tries, tries + 1)
        return ""

    @staticmethod
    def was_stopped(status: int | None) -> bool:
        """It was told to stop while it could not record that it began, so it did not begin."""
        return status is not None and os.waitstatus_to_exitcode(status) == _UNBEGUN

    def due(self, now: Now) -> list[Key]:
        return [key for key, (when, _) in self._runs.items() if when <= now.mono]

    def spawned(self, key: Key) -> None:
        """Wait for what becomes of it."""
        self._runs[key] = (_NEVER, self._runs[key][1])

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._runs))

    def drop(self, key: Key) -> None:
        del self._runs[key]

    @property
    def next_wake(self) -> float | None:
        """When (mono) the next one is due."""
        when = min((when for when, _ in self._runs.values()), default=_NEVER)
        return None if when == _NEVER else when


def records_of_end(run: Run, swept: Swept, rebooted: bool, now: Now) -> list[AnyRecord]:
    """What the owner records of a run whose coordinator is gone, in this order."""
    who = (run.process, run.number)
    if run.terminal:
        return [Gone(at=now.wall, mono=now.mono, process=who[0], run=who[1])]
    if swept.main_status is None:
        reason = "the host was restarted" if rebooted else "its coordinator died"
        return [
            Lost(
                at=now.wall,
                mono=now.mono,
                process=who[0],
                run=who[1],
                reason=reason,
                killed=swept.killed,
                refused=swept.refused,
            )
        ]
    code, signum = exit_of(swept.main_status)
    exited = Exited(at=now.wall, mono=now.mono, process=who[0], run=who[1], code=code, signal=signum)
    if not (swept.killed or swept.refused):
        return [exited]
    receipt = Stopped(  # they had to be killed after the main had ended by itself
        at=now.wall,
        mono=now.mono,
        process=who[0],
        run=who[1],
        why="kill",
        killed=swept.killed,
        killed_count=len(swept.killed),
        refused=swept.refused,
    )
    return [receipt, exited]
