"""Writing to a terminal or pipe without ever waiting for its reader: a paused pager must not stop supervision.

Pipes and terminals are opened a second time as non-blocking (the flag belongs to the open file, and others share
ours); what does not fit is kept, up to a limit, and written later. A reader that is gone silences the output.
"""

from __future__ import annotations

import os
import select
import stat
from collections import deque

#: Bytes that are kept for a reader that does not read; more are dropped, and that is said.
_LIMIT = 4 * 1024 * 1024

#: A pipe that is ready takes this much at once without blocking.
_PIPE_BUF = 4096


class Output:
    """One file descriptor of ours (1 or 2). `write` and `flush` never block; `close` waits for the reader."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._dropped = 0
        self._gone = False
        self._own, self._blocks = _reopen(fd)

    @property
    def pending(self) -> bool:
        """Something waits for the reader."""
        return bool(self._queue)

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        if self._gone:
            return
        if self._size + len(data) > _LIMIT:
            self._dropped += 1
            return
        if self._dropped:
            note = f"… {self._dropped} lines were dropped: nobody read them\n".encode()
            self._dropped = 0
            self._push(note)
        self._push(data)
        self.flush()

    def flush(self) -> None:
        """As much as can be written now."""
        try:
            while self._queue:
                chunk = self._queue[0]
                if self._blocks:
                    if not select.select((), (self._own,), (), 0)[1]:
                        return
                    chunk = chunk[:_PIPE_BUF]
                self._took(os.write(self._own, chunk))
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more, or the terminal is gone
            self._give_up()

    def wait(self) -> None:
        """Write what is left, waiting for the reader."""
        try:
            while self._queue:
                self._took(os.write(self._fd, self._queue[0]))
        except OSError:
            self._give_up()

    def close(self) -> None:
        """Write what is left, waiting for the reader; the last call."""
        self.wait()
        if self._own != self._fd:
            os.close(self._own)
            self._own = self._fd

    def _push(self, data: bytes) -> None:
        self._queue.append(data)
        self._size += len(data)

    def _took(self, count: int) -> None:
        self._size -= count
        if count < len(self._queue[0]):
            self._queue[0] = self._queue[0][count:]
        else:
            self._queue.popleft()

    def _give_up(self) -> None:
        self._gone = True
        self._queue.clear()
        self._size = 0


def _reopen(fd: int) -> tuple[int, bool]:
    """(descriptor to write to, whether it may block)."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd, False
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags), False
        except OSError:
            return fd, True
    return fd, True
