"""Looking at a task that somebody else minds, with the displays of `thermos run`: records are read as they come.

Nothing is owned and nothing written; to go away is to end the command.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from client.thermos.displays import Display, Live
from client.thermos.view import View
from thermos.clock import now
from thermos.core.fold import TaskRecord
from thermos.core.lifecycle import Lifecycle
from thermos.host.kernel import Kernel
from thermos.model import TaskSpec
from thermos.monitor.follow import Follower
from thermos.monitor.watch import Watch
from thermos.paths import TaskPaths

#: Seconds between looks when nothing is heard.
_LOOK = 1.0


class Watching:
    """A task, its plan and a display, fed by a Follower."""

    def __init__(self, spec: TaskSpec, paths: TaskPaths, kernel: Kernel, display: Display) -> None:
        self._records = Follower(paths, kernel)
        self._paths = paths
        self._display = display
        self._life = Lifecycle(spec)
        self._records.read()
        self._life.rebuild(self._records.task, now())
        view = View(spec, self._life.planner_of)
        display.attach(lambda: self._records.task, view)
        if not isinstance(display, Live):  # that shows what there is by itself
            headline = view.headline(self._records.task, now())
            display.note(f"looking at task {paths.task_id} {headline.state}, {headline.counts}", now())

    def run(self) -> TaskRecord:
        """Until the task is over. KeyboardInterrupt passes."""
        watch = Watch()
        watch.add(self._paths.checkpoint)
        try:
            with _resizes(self._display):
                while True:
                    at = now()
                    self._display.on_turn(at)
                    if self._records.task.terminal:
                        return self._records.task
                    look = self._display.next_look
                    watch.wait(_LOOK if look is None else min(_LOOK, max(0.0, look - at.mono)))
                    self._take_in()
        finally:
            self._display.close(now())
            watch.close()
            self._records.close()

    def _take_in(self) -> None:
        for event in self._records.read():
            if event.applied.run is not None:
                self._life.update(self._records.task, event.applied.run)
            self._display.on_record(event.record, event.applied)


@contextlib.contextmanager
def _resizes(display: Display) -> Iterator[None]:
    """A live tree is drawn anew when the terminal has another size."""
    if not isinstance(display, Live):
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: display.redraw(now()))
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
