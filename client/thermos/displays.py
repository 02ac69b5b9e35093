"""How `thermos run` shows what happens: plain lines, JSON lines, or a live tree. One class each, the same five calls.

A display never blocks and never fails: the task goes on, whether somebody looks or not.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from client.output import Output
from client.terminal import Frame, paint_line
from client.thermos.live import live_lines
from client.thermos.meters import Meters
from client.thermos.plain import event_line
from client.thermos.view import View
from thermos.clock import Now
from thermos.core.fold import Applied, Run, TaskRecord
from thermos.core.records import AnyRecord, Exited
from thermos.core.states import Outcome, ProcessState
from thermos.model import TaskSpec
from thermos.monitor.last_lines import tail_lines
from thermos.monitor.watch import Watch

#: A live tree is drawn at most so often (seconds), and once a second while a clock runs.
_FRAME_GAP = 0.05
_TICK = 1.0
#: A stuck output is tried again after this.
STUCK_GAP = 0.25
_NOTES = 3


class Display(Protocol):
    """`next_look` (mono) is when `on_turn` wants to be called again at the latest; None: after the next event. It wants
    to be called, too, when `watch` (if there is one) becomes readable."""

    next_look: float | None
    watch: Watch | None

    def on_record(self, record: AnyRecord, applied: Applied) -> None: ...
    def attach(self, task: Callable[[], TaskRecord], view: View) -> None: ...
    def note(self, text: str, now: Now) -> None: ...
    def on_turn(self, now: Now) -> None: ...
    def close(self, now: Now) -> None: ...


def last_stderr(task: TaskRecord, run: Run) -> str:
    """The last line that a run wrote to stderr."""
    if task.header is None:
        return ""
    lines = tail_lines(task.header.sandbox, task.header.log_dir, run.process, run.number, "stderr", 1)
    return lines[0] if lines else ""


class Plain:
    """One line per change, prefixed with the time."""

    def __init__(self, output: Output, task_id: str, spec: TaskSpec) -> None:
        self.next_look: float | None = None
        self.watch: Watch | None = None
        self._output = output
        self._specs = {p.name: p for p in spec.processes}
        self._task: Callable[[], TaskRecord] = TaskRecord

    def attach(self, task: Callable[[], TaskRecord], view: View) -> None:
        self._task = task

    def on_record(self, record: AnyRecord, applied: Applied) -> None:
        task, tail = self._task(), ""
        run = applied.run
        if isinstance(record, Exited) and run is not None and run.state is ProcessState.FAILED:
            tail = last_stderr(task, run)
        line = event_line(record, applied, self._specs, task, tail)
        if line is not None:
            self._output.write(f"{line}\n")

    def note(self, text: str, now: Now) -> None:
        self._output.write(f"thermos: {text}\n")

    def on_turn(self, now: Now) -> None:
        self._output.flush()
        self.next_look = now.mono + STUCK_GAP if self._output.pending else None

    def close(self, now: Now) -> None:
        self._output.flush()


class JsonLines:
    """Every record that counts as one JSON object, as it stands in the checkpoint."""

    def __init__(self, output: Output) -> None:
        self.next_look: float | None = None
        self.watch: Watch | None = None
        self._output = output
        self._encoder = msgspec.json.Encoder()

    def attach(self, task: Callable[[], TaskRecord], view: View) -> None:
        """Records say all."""

    def on_record(self, record: AnyRecord, applied: Applied) -> None:
        if applied.outcome in (Outcome.CHANGED, Outcome.NOTE):
            self.emit(record)

    def emit(self, value: object) -> None:
        self._output.write(self._encoder.encode(value).decode() + "\n")

    def note(self, text: str, now: Now) -> None:
        self.emit({"kind": "note", "at": now.wall, "text": text})

    def on_turn(self, now: Now) -> None:
        self._output.flush()
        self.next_look = now.mono + STUCK_GAP if self._output.pending else None

    def close(self, now: Now) -> None:
        self._output.flush()


class Live:
    """A tree that changes in place, with the last notes below it."""

    def __init__(self, output: Output, task_id: str, *, colours: bool) -> None:
        self.next_look: float | None = None
        self.watch: Watch | None = None
        self._output = output
        self._task_id = task_id
        self._colours = colours
        self._task: Callable[[], TaskRecord] = TaskRecord
        self._view: View | None = None
        self._frame = Frame()
        self._notes: deque[str] = deque(maxlen=_NOTES)
        self._hints: dict[str, str] = {}
        self._unread: dict[str, Run] = {}  # failed runs whose stderr was not looked at yet
        self._dirty = True
        self._drawn_at = 0.0
        self._meters = Meters()

    def attach(self, task: Callable[[], TaskRecord], view: View) -> None:
        self._task, self._view = task, view

    def on_record(self, record: AnyRecord, applied: Applied) -> None:
        self._dirty = True
        run = applied.run
        if isinstance(record, Exited) and run is not None and run.state is ProcessState.FAILED:
            self._unread[run.process] = run

    def note(self, text: str, now: Now) -> None:
        self._notes.append(text)
        self._dirty = True

    def on_turn(self, now: Now) -> None:
        self._output.flush()
        if self._output.pending:
            self.next_look = now.mono + STUCK_GAP
        elif self._dirty and now.mono - self._drawn_at < _FRAME_GAP:
            self.next_look = self._drawn_at + _FRAME_GAP
        elif self._dirty or (self.next_look is not None and self.next_look <= now.mono):
            self._draw(now)

    def redraw(self, now: Now) -> None:
        """The terminal has another size now."""
        self._output.write(self._frame.clear())
        self._dirty = True

    def close(self, now: Now) -> None:
        """The last frame stays."""
        self._draw(now)
        self._output.flush()

    def _draw(self, now: Now) -> None:
        if self._view is None:
            return
        size = shutil.get_terminal_size()
        task = self._task()
        self._read_hints(task)
        lines, ticks = live_lines(
            self._task_id,
            self._view,
            task,
            now,
            max(2, size.lines - 1),
            self._hints,
            list(self._notes),
            self._meters.usages(task, now.mono),
        )
        text = self._frame.draw([paint_line(line, size.columns - 1, colours=self._colours) for line in lines])
        if text:
            self._output.write(text)
        self._dirty, self._drawn_at = False, now.mono
        self.next_look = now.mono + _TICK if ticks else None

    def _read_hints(self, task: TaskRecord) -> None:
        """Only of those that may be shown: a thousand failures at once are not a thousand files to read."""
        view = self._view
        if view is None or not self._unread:
            return
        for process in list(self._unread)[:50]:
            run = self._unread.pop(process)
            self._hints[process] = last_stderr(task, run)
