"""Following a job's instances on the screen: a table that changes in place on a terminal, lines elsewhere, nothing for
programs. Whoever follows may go away at any time (Ctrl-C): the job does not notice."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import Protocol

from client.aurora.context import Context
from client.aurora.core.instances import Instances
from client.aurora.core.progress_lines import change_line, counts_text, table_lines
from client.aurora.core.waiting import Judge, Verdict
from client.aurora.watch import Watch
from client.exits import echo_lines
from client.terminal import Frame, paint_line
from thermos.clock import now as now_

#: Jobs with more instances have a line for all of them, now and then, where each change would be too much.
MOST_SINGLE = 50
COUNTS_GAP_S = 1.0
#: A table is drawn at most so often, and at least.
FRAME_GAP_S = 0.05
TICK_S = 1.0


class Progress(Protocol):
    """`tick_s`: how often to be shown although nothing happens."""

    tick_s: float | None

    def show(self, instances: Instances) -> None: ...
    def close(self) -> None: ...


class Silent:
    tick_s: float | None = None

    def show(self, instances: Instances) -> None:
        instances.take_changes()

    def close(self) -> None:
        """Nothing was shown."""


class Lines:
    """A line for each change, or for the counts of a big job, at most one in a second."""

    def __init__(self, job: str) -> None:
        self.tick_s: float | None = None
        self._job = job
        self._counts = ""
        self._next_at = 0.0
        self._instances = Instances()

    def show(self, instances: Instances) -> None:
        self._instances = instances
        changes = instances.take_changes()
        at = now_()
        if len(instances.known) <= MOST_SINGLE:
            echo_lines(change_line(self._job, seen, at.wall) for seen in changes)
        elif at.mono >= self._next_at:
            self.tick_s = None
            if self._tell_counts():
                self._next_at = at.mono + COUNTS_GAP_S
        else:
            self.tick_s = self._next_at - at.mono

    def close(self) -> None:
        """The counts as they are at the end."""
        if len(self._instances.known) > MOST_SINGLE:
            self._tell_counts()

    def _tell_counts(self) -> bool:
        counts = counts_text(self._instances.known)
        if counts == self._counts:
            return False
        self._counts = counts
        echo_lines([f"{self._job}: {counts}"])
        return True


class Live:
    """A table in place, drawn at most 20 times a second and once a second while nothing happens; it stays as it was
    last."""

    def __init__(self, job: str, colours: bool) -> None:
        self.tick_s: float | None = TICK_S
        self._job = job
        self._colours = colours
        self._frame = Frame()
        self._instances: Instances | None = None
        self._next_at = 0.0

    def show(self, instances: Instances) -> None:
        instances.take_changes()
        self._instances = instances
        at = now_().mono
        if at >= self._next_at:
            self._next_at = at + FRAME_GAP_S
            self.tick_s = TICK_S
            self._draw(instances)
        else:
            self.tick_s = self._next_at - at

    def clear(self) -> None:
        """Make room for a remark; the table is drawn again below it."""
        sys.stdout.write(self._frame.clear())
        sys.stdout.flush()
        self._next_at = 0.0

    def close(self) -> None:
        """As it is at the end; from then on it is left alone."""
        if self._instances is not None:
            self._draw(self._instances)
            self._instances = None
            self._frame = Frame()

    def _draw(self, instances: Instances) -> None:
        size = shutil.get_terminal_size()
        lines = table_lines(self._job, instances.known, int(now_().wall * 1000), max(2, size.lines - 2))
        sys.stdout.write(self._frame.draw([paint_line(line, size.columns, colours=self._colours) for line in lines]))
        sys.stdout.flush()


def progress_for(context: Context, job: object) -> Progress:
    if context.json:
        return Silent()
    if not context.is_live:
        return Lines(str(job))
    live = Live(str(job), context.colours)
    context.clear_screen = live.clear
    return live


def follow(
    watch: Watch,
    progress: Progress,
    judge: Judge,
    *,
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Verdict, bool]:
    """(how it stands, whether it is over): until the judge says so or the deadline (monotonic) has passed.

    What would end badly is looked at once more before it is believed.
    """
    while True:
        now = clock()
        verdict = judge(watch.instances.known, now)
        progress.show(watch.instances)
        if verdict.over and (watch.fresh or not verdict.bad):
            return verdict, True
        if deadline is not None and now >= deadline:
            return verdict, False
        if verdict.over:
            watch.look()
            continue
        ends = [at - now for at in (deadline, verdict.wake_at) if at is not None]
        ends += [progress.tick_s] if progress.tick_s is not None else []
        watch.wait(min(ends, default=None))
