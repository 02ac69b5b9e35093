"""The kernel's word that something changed below a directory: inotify by ctypes, one instance for the whole server.

A mask and a path go in, batches of events come out of a file descriptor that an event loop can wait for. When the
kernel has no instance or no watch left (they are few per user), the callers fall back to polling and say so.
"""

from __future__ import annotations

import ctypes
import os
import struct
from dataclasses import dataclass
from enum import IntFlag


class Mask(IntFlag):
    MODIFY = 0x2
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    DONT_FOLLOW = 0x2000000
    ISDIR = 0x40000000


#: Something comes into, or leaves, a directory.
ENTRIES = Mask.CREATE | Mask.MOVED_TO | Mask.MOVED_FROM | Mask.DELETE | Mask.ONLYDIR

_HEADER = struct.Struct("iIII")
_BUFFER = 64 * 1024


@dataclass(frozen=True, slots=True)
class Happening:
    """One event; `wd` -1 with Q_OVERFLOW: some were lost, look at everything."""

    wd: int
    mask: int
    name: str


class Inotify:
    """Raises OSError when the kernel refuses an instance."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _last_error("inotify_init1")
        self.watches = 0

    def watch(self, path: str, mask: int) -> int:
        """The watch's number; the same path has one watch. Raises OSError (ENOSPC: too many, ENOENT: gone)."""
        wd: int = self._libc.inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask | Mask.DONT_FOLLOW))
        if wd < 0:
            raise _last_error(path)
        self.watches += 1
        return wd

    def drop(self, wd: int) -> None:
        """One that the kernel has dropped already is no error."""
        self._libc.inotify_rm_watch(self.fd, wd)
        self.watches -= 1

    def read(self) -> list[Happening]:
        """What happened since the last call; [] when nothing did."""
        try:
            data = os.read(self.fd, _BUFFER)
        except BlockingIOError:
            return []
        return list(_parse(data))

    def close(self) -> None:
        os.close(self.fd)


def _parse(data: bytes) -> list[Happening]:
    found, at = [], 0
    while at + _HEADER.size <= len(data):
        wd, mask, _cookie, length = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        found.append(Happening(wd, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
        at += length
    return found


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
