"""`--follow`: what the processes of a task write, each line after its process and run, with the changes between them.

The logs are followed by inode, so nothing is lost by rotation; and nothing is read faster than somebody reads us. Who
writes to the console, or nowhere, has no log and is not shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from client.output import Output
from client.render import pad, width_of
from client.terminal import STYLES
from client.thermos.displays import STUCK_GAP
from client.thermos.plain import event_line
from client.thermos.view import View
from thermos.clock import Now
from thermos.core.fold import Applied, TaskRecord
from thermos.core.records import AnyRecord, Running
from thermos.core.states import ProcessState
from thermos.model import TaskSpec
from thermos.monitor.logs import STREAMS, LogReader, log_of
from thermos.monitor.watch import Watch
from thermos.words import printable

#: (process, run)
Key = tuple[str, int]

#: One per process, in turn.
_COLOURS = ("cyan", "green", "yellow", "blue", "magenta")
_MARKS = {"stdout": "|", "stderr": "!"}
_NAME_COLUMNS = 24

#: A line that is longer is shown in pieces.
_LONGEST = 64 * 1024
#: Lines of a run that was under way when we came.
_BEFORE = 10
#: Seconds between looks at what can't be watched.
_BLIND_GAP = 0.2


@dataclass(slots=True)
class Stream:
    """One stream of one run, and its unfinished line."""

    process: str
    run: int
    name: str
    reader: LogReader
    rest: bytes = b""
    more: bool = False  # the last look found something

    def lines(self, *, over: bool) -> Iterator[str]:
        """What has come, at most a chunk; the unfinished line, too, when nothing more will come."""
        data = self.reader.read()
        self.more = bool(data)
        text = self.rest + data
        *whole, self.rest = text.split(b"\n")
        if len(self.rest) > _LONGEST or (over and not data and self.rest):
            whole.append(self.rest)
            self.rest = b""
        yield from (line.rstrip(b"\r").decode("utf-8", "replace") for line in whole)


@dataclass(slots=True)
class _Painter:
    """Prefixes, coloured per process."""

    colours: bool
    width: int
    seen: dict[str, str] = field(default_factory=dict)

    def line(self, stream: Stream, text: str) -> str:
        prefix = f"{pad(f'{stream.process}[{stream.run}]', self.width)} {_MARKS[stream.name]}"
        if not self.colours:
            return f"{prefix} {text}\n"
        style = self.seen.setdefault(stream.process, _COLOURS[len(self.seen) % len(_COLOURS)])
        mark = f"\x1b[{STYLES[style]}m{prefix}\x1b[0m"
        return f"{mark} \x1b[{STYLES['red']}m{printable(text)}\x1b[0m\n" if stream.name == "stderr" else (
            f"{mark} {printable(text)}\n"
        )  # fmt: skip


class Follow:
    """A Display (see `client.thermos.displays`). What is to be shown stands in a queue; a line about the end of a run
    waits there until the run's streams were read to their ends."""

    def __init__(self, output: Output, spec: TaskSpec, *, colours: bool) -> None:
        self.next_look: float | None = None
        self.watch: Watch | None = Watch()
        self._files = self.watch
        self._output = output
        self._specs = {p.name: p for p in spec.processes}
        widest = max((width_of(name) for name in self._specs), default=0) + 3
        self._painter = _Painter(colours, min(_NAME_COLUMNS, widest))
        self._task: Callable[[], TaskRecord] = TaskRecord
        self._queue: deque[tuple[str | None, Key | None]] = deque()  # (line, run that is over)
        self._fresh: dict[Key, int | None] = {}  # runs to open: how many lines of the past
        self._streams: dict[Key, list[Stream]] = {}
        self._changed: set[Key] = set()

    def attach(self, task: Callable[[], TaskRecord], view: View) -> None:
        self._task = task
        for key in task().active.items():
            run = task().run(*key)
            if run is not None and run.state is ProcessState.RUNNING:  # before our time; of the others we shall hear
                self._fresh.setdefault(key, _BEFORE)

    def on_record(self, record: AnyRecord, applied: Applied) -> None:
        run = applied.run
        key = (run.process, run.number) if run is not None else None
        if isinstance(record, Running) and key is not None:
            self._fresh.setdefault(key, None)
        line = event_line(record, applied, self._specs, self._task())
        over = key if run is not None and run.terminal else None
        if line is not None or over is not None:
            self._queue.append((line, over))

    def note(self, text: str, now: Now) -> None:
        self._queue.append((f"thermos: {text}", None))

    def on_turn(self, now: Now) -> None:
        self._output.flush()
        heard = self._files.drain()
        if heard:
            self._changed |= {key for key in self._streams if self._directory(key) in heard}
        self._show()
        if self._output.pending:
            self.next_look = now.mono + STUCK_GAP
        else:
            self.next_look = now.mono + _BLIND_GAP if self._files.blind else None

    def close(self, now: Now) -> None:
        """Everything that is left, waiting for the reader."""
        self._changed |= set(self._streams)
        self._show()
        while self._output.pending:
            self._output.wait()
            self._show()
        for key in list(self._streams):
            while self._read(key, over=True):
                self._output.wait()
            self._drop(key)
        self._files.close()

    def _show(self) -> None:
        """Until there is nothing to show, or the reader is slow."""
        while not self._output.pending:
            self._open_fresh()
            if self._queue:
                line, over = self._queue[0]
                if over is not None and self._read(over, over=True):
                    continue
                if over is not None:
                    self._drop(over)
                if line is not None:
                    self._output.write(f"{line}\n")
                self._queue.popleft()
            elif self._changed:
                key = next(iter(self._changed))
                if not self._read(key, over=False):
                    self._changed.discard(key)
            else:
                return

    def _directory(self, key: Key) -> Path:
        return self._streams[key][0].reader.log.path.parent

    def _open_fresh(self) -> None:
        header = self._task().header
        if header is None:
            return
        for key, lines in self._fresh.items():
            if key in self._streams:
                continue
            logs = {name: log_of(header.sandbox, header.log_dir, *key, name) for name in STREAMS}
            self._files.add(next(iter(logs.values())).path.parent)
            self._streams[key] = [Stream(*key, name, LogReader(log, lines)) for name, log in logs.items()]
            self._changed.add(key)
        self._fresh.clear()

    def _read(self, key: Key, *, over: bool) -> bool:
        """Show the next chunks of a run; False when there were none."""
        some = False
        for stream in self._streams.get(key, ()):
            for line in stream.lines(over=over):
                some = True
                self._output.write(self._painter.line(stream, line))
            some = some or stream.more
            if stream.reader.lost:
                stream.reader.lost = False
                self._output.write(f"thermos: some of {stream.reader.log.path} was rotated away before it was read\n")
        return some

    def _drop(self, key: Key) -> None:
        for stream in self._streams.get(key, ()):
            stream.reader.close()
        if key in self._streams:
            self._files.drop(self._directory(key))
            del self._streams[key]
        self._changed.discard(key)
