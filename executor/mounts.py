"""The calls around mounts that Python lacks, as one narrow seam; every place is a descriptor, so none can be exchanged.

A mount namespace belongs to a thread: a worker makes one and mounts in it, and every thread that starts processes in it
enters it first. When the last process in it has gone the kernel forgets it with all its mounts: nothing of it is ever
to be seen on the host, however its processes died. What the host mounts and unmounts later happens inside, too.

Linux: mount_namespaces(7), mount(2), setns(2), mount_setattr(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_CLONE_FS, _CLONE_NEWNS = 0x200, 0x20000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_BIND, _MS_REC, _MS_SLAVE = 4096, 16384, 1 << 19
_SYS_MOUNT_SETATTR = 442  # on every architecture
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_ATTR_RDONLY = 1

_NAMESPACE = "/proc/thread-self/ns/mnt"


class MountCalls:
    """Methods raise OSError as the calls do. Tests replace it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def new_namespace(self) -> int:
        """This thread gets a mount namespace of its own; a descriptor of it."""
        self._check(self._libc.unshare(_CLONE_NEWNS))
        self._mount(None, b"/", None, _MS_REC | _MS_SLAVE, None)
        return os.open(_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)

    def enter(self, namespace: int) -> None:
        """This thread goes on in that namespace; its working directory has the same path there."""
        if _identity(_NAMESPACE) == _identity(namespace):
            return
        root, directory = _identity("/"), Path.cwd()
        self._check(self._libc.unshare(_CLONE_FS))
        self._check(self._libc.setns(namespace, _CLONE_NEWNS))
        os.chdir(directory)
        if _identity("/") != root:
            raise OSError(errno.EXDEV, "the executor itself is in a chroot")

    def bind(self, source: int, target: int) -> None:
        """What is at `source`, with all that is mounted below it, appears at `target`, too."""
        self._mount(_path(source), _path(target), None, _MS_BIND | _MS_REC, None)

    def tmpfs(self, target: int, mode: str) -> None:
        self._mount(b"tmpfs", _path(target), b"tmpfs", _MS_NOSUID | _MS_NOEXEC, f"mode={mode}".encode())

    def terminals(self, target: int) -> None:
        """Pseudo terminals of its own."""
        options = b"newinstance,ptmxmode=0666,mode=0620"
        self._mount(b"devpts", _path(target), b"devpts", _MS_NOSUID | _MS_NOEXEC, options)

    def make_read_only(self, place: int) -> None:
        """The mount whose root is open as `place`, and all below it."""
        try:
            self._set_read_only(place)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            self._remount_read_only(place)

    def can_make_all_read_only(self) -> bool:
        """Before Linux 5.12 a mount with others below it can't be made read-only."""
        try:
            self._set_read_only(-1)
        except OSError as error:
            return error.errno != errno.ENOSYS
        return True

    def _set_read_only(self, place: int) -> None:
        flags, attributes = _AT_EMPTY_PATH | _AT_RECURSIVE, (ctypes.c_uint64 * 4)(_ATTR_RDONLY, 0, 0, 0)
        size = ctypes.sizeof(attributes)
        self._check(self._libc.syscall(_SYS_MOUNT_SETATTR, place, b"", flags, attributes, size))

    def _remount_read_only(self, place: int) -> None:
        """Before Linux 5.12 one mount at a time can be changed, and only by its path."""
        if _has_mounts_below(place):
            raise OSError(
                errno.ENOSYS, "file systems are mounted below it, and Linux before 5.12 can't change them all"
            )
        given = os.fstatvfs(place).f_flag
        kept = sum(
            flag
            for flag, known in ((_MS_NOSUID, os.ST_NOSUID), (_MS_NODEV, os.ST_NODEV), (_MS_NOEXEC, os.ST_NOEXEC))
            if given & known
        )
        self._mount(None, _path(place), None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept, None)

    def _mount(self, source: bytes | None, target: bytes, kind: bytes | None, flags: int, data: bytes | None) -> None:
        self._check(self._libc.mount(source, target, kind, ctypes.c_ulong(flags), data))

    @staticmethod
    def _check(result: int) -> None:
        if result == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _path(fd: int) -> bytes:
    return b"/proc/self/fd/%d" % fd


def _identity(place: str | int) -> tuple[int, int]:
    found = os.stat(place)  # noqa: PTH116 - descriptors, too
    return found.st_dev, found.st_ino


def _has_mounts_below(place: int) -> bool:
    info = Path(f"/proc/self/fdinfo/{place}").read_text()
    mount = next(line.split()[1] for line in info.splitlines() if line.startswith("mnt_id:"))
    table = Path("/proc/thread-self/mountinfo").read_text()
    return any(line.split()[1] == mount for line in table.splitlines())
