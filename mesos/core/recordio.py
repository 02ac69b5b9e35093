"""RecordIO, the framing of Mesos' event streams: the length in ASCII digits, LF, then so many bytes.

The reader is fed what came from a socket and gives whole records; it owns no socket and is bounded: a length beyond the
limit, or one that is no number, ends the stream with an error before anything of the record is kept. Feeding costs
amortised constant time per byte, whatever the sizes of the pieces.

Source: Mesos 1.11, docs/recordio; limits are ours.
"""

from __future__ import annotations

from thermos.errors import RemoteError

#: Bytes of the largest record that a scheduler believes. Offers of 10,000 agents are 13 MB.
MAX_RECORD = 256 * 1024 * 1024

#: Digits of a length; 20 is what an unsigned 64-bit number needs.
MAX_DIGITS = 20


class BadFraming(RemoteError):
    """The stream can't be read any further."""


class RecordReader:
    """Bytes in, records out. After an error or `close` it is of no more use."""

    def __init__(self, max_record: int = MAX_RECORD) -> None:
        self._max = max_record
        self._buffer = bytearray()
        self._at = 0  # where unread bytes begin
        self._length: int | None = None  # of the record whose header was read

    def feed(self, data: bytes) -> list[bytes]:
        """All records that are complete with `data`, in order. Raises BadFraming; records before the damage are lost
        with the stream, whose other end says everything anew after a re-subscription."""
        self._buffer += data
        records = []
        while True:
            if self._length is None and not self._read_length():
                break
            assert self._length is not None
            end = self._at + self._length
            if len(self._buffer) < end:
                break
            records.append(bytes(memoryview(self._buffer)[self._at : end]))
            self._at = end
            self._length = None
        self._forget_read()
        return records

    def close(self) -> None:
        """The stream ended. Raises BadFraming if it ended inside a record."""
        if self._length is not None or self._at < len(self._buffer):
            wanted = "a length" if self._length is None else f"a record of {self._length} bytes"
            raise BadFraming(f"the stream ended inside {wanted}")

    @property
    def pending(self) -> int:
        """Bytes held back because their record is not complete."""
        return len(self._buffer) - self._at

    def _read_length(self) -> bool:
        end = self._buffer.find(b"\n", self._at, self._at + MAX_DIGITS + 1)
        if end < 0:
            if self.pending > MAX_DIGITS:
                raise BadFraming(f"no length of a record but {bytes(self._buffer[self._at : self._at + 40])!r}")
            if self.pending and not self._buffer[self._at :].isdigit():
                raise BadFraming(f"no length of a record but {bytes(self._buffer[self._at :])!r}")
            return False
        digits = bytes(self._buffer[self._at : end])
        if not digits.isdigit():
            raise BadFraming(f"no length of a record but {digits!r}")
        length = int(digits)
        if length > self._max:
            raise BadFraming(f"a record of {length} bytes; {self._max} are allowed")
        self._length = length
        self._at = end + 1
        return True

    def _forget_read(self) -> None:
        """Drop what was read, when it is much (or all): moving the rest each time would cost O(n²)."""
        if self._at == len(self._buffer):
            self._buffer.clear()
            self._at = 0
        elif self._at > 65536 and self._at * 2 > len(self._buffer):
            del self._buffer[: self._at]
            self._at = 0


def frame(record: bytes) -> bytes:
    """The record with its header."""
    return b"%d\n%s" % (len(record), record)
