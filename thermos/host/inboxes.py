"""The inboxes of a task's processes as its owner reads them: how far each was read, and which have grown.

A coordinator pokes the FIFO `wake` with its process's index after each record, so the owner reads only what has
grown. Anything in the FIFO that is no index, and more of it than fits, means: look at all of them. A line that begins
with `!` is a wish of somebody who may write the FIFO (the owner's user): `!restart INDEX`, `!detach`,
`!kill politely REASON`, `!kill now REASON`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from thermos.core.fold import TaskRecord
from thermos.core.records import CoordinatorRecord, Line, RecordReader
from thermos.host.checkpoint import Checkpoint
from thermos.host.kernel import Kernel

#: So many bytes in the FIFO at once (of 64 KiB) may mean that pokes were dropped.
_MANY = 32 * 1024

#: A coordinator has six things to say of a run, at most; whoever counts higher is none.
_MAX_SEQ = 15


class Inboxes:
    """Offsets by process; `grown` are those to read."""

    def __init__(self, checkpoint: Checkpoint, kernel: Kernel, processes: Iterable[str]) -> None:
        self._checkpoint = checkpoint
        self._kernel = kernel
        self._names = list(processes)
        self._index = {name: i for i, name in enumerate(self._names)}
        self._offsets: dict[str, int] = {}
        self.grown: set[str] = set()

    def process_of(self, token: str) -> str | None:
        """The process with this index; None for anything that is none."""
        index = int(token) if token.isdecimal() and len(token) < 10 else len(self._names)
        return self._names[index] if index < len(self._names) else None

    def wake_token(self, process: str) -> int:
        return self._index[process]

    def follow(self, process: str, offset: int) -> None:
        """Read this inbox from `offset` on, unless it is read already."""
        self._offsets.setdefault(process, offset)

    def begin_anew(self, process: str) -> None:
        """The inbox was removed; the next one is read from its start."""
        self._offsets[process] = 0

    def drain_wake(self) -> list[str]:
        """Take the pokes from the FIFO; gives the wishes that stood among them."""
        try:
            data = self._kernel.read(self._checkpoint.wake_fd, 2 * _MANY)
        except BlockingIOError:
            return []
        lines = data.split(b"\n")
        wishes = [line[1:].decode("ascii", "replace") for line in lines if line.startswith(b"!")]
        tokens = {line for line in lines if line and not line.startswith(b"!")}
        known = {int(token) for token in tokens if token.isdigit() and len(token) < 10}
        if len(data) >= _MANY or len(known) < len(tokens) or max(known, default=0) >= len(self._names):
            self.grown.update(self._offsets)
        else:
            self.grown.update(self._names[index] for index in known)
        return wishes

    def news(self, process: str, task: TaskRecord) -> tuple[list[Line], int]:
        """(records that the fold has not seen, where to go on reading once they are mirrored)."""
        offset = self._offsets.get(process)
        if offset is None:
            return [], 0
        reader = RecordReader(offset)
        data = self._checkpoint.read_inbox(process, offset)
        return list(_news_of(process, reader, data, task)), reader.offset

    def advance(self, process: str, offset: int) -> None:
        """Everything before `offset` is mirrored."""
        if process in self._offsets:
            self._offsets[process] = offset
        self.grown.discard(process)


def _news_of(process: str, reader: RecordReader, data: bytes, task: TaskRecord) -> Iterator[Line]:
    """A coordinator's own kinds, about its own process, of a run that was begun, and not mirrored yet."""
    seen: dict[int, int] = {}
    for line in reader.feed(data):
        if not isinstance(line, Line) or not isinstance(line.record, CoordinatorRecord):
            continue
        record = line.record
        run = task.run(process, record.run)
        if record.process == process and run is not None and seen.get(run.number, run.seq) < record.seq <= _MAX_SEQ:
            seen[run.number] = record.seq
            yield line
