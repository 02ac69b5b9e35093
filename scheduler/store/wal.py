"""Is a write-ahead log of SQLite damaged, or did it only end in the middle of a write?

After a crash SQLite takes the log as far as its checksums are right and forgets the rest without a word. That is right
for the last transaction, which was being written. But a flipped byte in the middle would take every commit behind it
along, acknowledged ones too. Every commit of ours is synced before the next one begins, so: a bad frame with two or
more commits behind it, of the same generation of the log, is damage.

Source: sqlite.org/fileformat2.html, "The Write-Ahead Log". Bytes in, a number out.
"""

from __future__ import annotations

import struct
import sys
from array import array
from typing import NamedTuple

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
_LITTLE_ENDIAN, _BIG_ENDIAN = 0x377F0682, 0x377F0683
_MASK = 0xFFFFFFFF


class WalState(NamedTuple):
    """`header_is_bad`: nothing behind it can be read. `lost`: commits that stand behind the first bad frame."""

    header_is_bad: bool
    frames: int
    lost: int

    @property
    def is_damaged(self) -> bool:
        return self.header_is_bad or self.lost > 1


def inspect_wal(wal: bytes) -> WalState:
    if len(wal) <= HEADER_BYTES:
        return WalState(False, 0, 0)
    magic, _, page_bytes, _, *salts, sum0, sum1 = struct.unpack_from(">8I", wal)
    order = {_LITTLE_ENDIAN: "little", _BIG_ENDIAN: "big"}.get(magic)
    if order is None or page_bytes < 512 or _checksum(wal[:24], order, (0, 0)) != (sum0, sum1):
        return WalState(True, 0, 0)
    size = FRAME_HEADER_BYTES + page_bytes
    offsets = range(HEADER_BYTES, len(wal) - size + 1, size)
    sums = (sum0, sum1)
    for index, offset in enumerate(offsets):
        sums = _checksum(wal[offset : offset + 8] + wal[offset + 24 : offset + size], order, sums)
        if (salts, sums) != _claims(wal, offset):
            return WalState(False, index, sum(_is_commit(wal, at, salts) for at in offsets[index:]))
    return WalState(False, len(offsets), 0)


def _claims(wal: bytes, offset: int) -> tuple[list[int], tuple[int, int]]:
    """The salts and the checksums that a frame says."""
    *salts, sum0, sum1 = struct.unpack_from(">4I", wal, offset + 8)
    return salts, (sum0, sum1)


def _is_commit(wal: bytes, offset: int, salts: list[int]) -> bool:
    """Of this generation, and with the size of the database that a commit leaves behind."""
    _, database_pages, *claimed = struct.unpack_from(">4I", wal, offset)
    return database_pages > 0 and claimed == salts


def _checksum(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    words = array("I", data)
    if order != sys.byteorder:
        words.byteswap()
    sum0, sum1 = start
    pairs = iter(words)
    for even, odd in zip(pairs, pairs, strict=True):
        sum0 = (sum0 + even + sum1) & _MASK
        sum1 = (sum1 + odd + sum0) & _MASK
    return sum0, sum1
