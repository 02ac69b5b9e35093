"""Files of tasks, read safely: below the sandbox or the log directory, regular files only, so many bytes at a time.

The path is resolved, checked to be inside, opened without reading rights first (O_PATH: no FIFO blocks, no device
stirs), and what was opened is checked again by the kernel's own name of it; so a link that is swapped meanwhile gains
nothing. Only directories that the task's own checkpoint may speak for are served (`trusted_base`).

Everything here blocks on the disk: the server calls it in a worker thread.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from observer.core.sandbox_path import Refused, encode_path, is_inside, shown
from observer.core.views import Chunk, Entry

#: One answer holds at most so much of a file; a listing at most so many entries.
MAX_CHUNK = 128 * 1024  # six times as much as JSON at worst, for each reader that does not read
MAX_ENTRIES = 2000

#: A page that people read holds at most so much: each line of it costs far more than its bytes to render.
MAX_PAGE = 128 * 1024
MAX_LINES = 4000

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoSuchFile(Exception):
    """There is no such file, or nothing that may be shown; the text says which, in one line."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A regular file that may be read. `fd` is closed by `opened`."""

    fd: int
    size: int
    inode: int
    modified_at: float
    name: str


def trusted_base(base: str, runner: Path, run_dir: Path | None) -> Path:
    """The directory a checkpoint speaks of, resolved. Raises NoSuchFile when it is gone, Refused when the checkpoint
    may not speak for it: below Mesos it has to lie in the executor's run directory, elsewhere the checkpoint must
    belong to root, to us, or to the owner of the directory."""
    path = Path(base)
    if not path.is_absolute():
        raise Refused("the checkpoint names no absolute directory")
    try:
        resolved = path.resolve(strict=True)
        owner, record_owner = resolved.stat().st_uid, runner.lstat().st_uid
    except (OSError, RuntimeError, ValueError) as error:
        raise NoSuchFile(f"the directory {shown(base)} is gone") from error
    if not resolved.is_dir():
        raise NoSuchFile(f"{shown(base)} is no directory")
    if run_dir is not None:
        if not is_inside(str(resolved), str(run_dir.resolve())):
            raise Refused("the checkpoint names a directory outside of its executor's sandbox")
    elif record_owner not in (0, os.geteuid(), owner):
        raise Refused("the checkpoint names a directory that belongs to somebody else")
    return resolved


def resolve_inside(base: Path, names: tuple[str, ...]) -> Path:
    """The path with its links followed. Raises NoSuchFile, or Refused when it leaves `base`."""
    try:
        resolved = base.joinpath(*names).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise NoSuchFile("there is no such file") from error
    if not is_inside(str(resolved), str(base)):
        raise Refused("the path leads out of the sandbox")
    return resolved


def _open_path(base: Path, names: tuple[str, ...]) -> int:
    """An O_PATH descriptor of something inside. Raises NoSuchFile, Refused."""
    resolved = resolve_inside(base, names)
    try:
        fd = os.open(resolved, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise NoSuchFile("there is no such file") from error
    try:
        real = str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        real = ""
    if not is_inside(real.removesuffix(" (deleted)"), str(base)):
        os.close(fd)
        raise Refused("the path leads out of the sandbox")
    return fd


@contextmanager
def opened(base: Path, names: tuple[str, ...]) -> Iterator[OpenFile]:
    """A regular file, for as long as it is looked at. Raises NoSuchFile, Refused."""
    path_fd = _open_path(base, names)
    try:
        if not stat.S_ISREG(os.fstat(path_fd).st_mode):
            raise NoSuchFile("it is not a regular file")
        try:
            fd = os.open(f"/proc/self/fd/{path_fd}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NoSuchFile(f"cannot read it: {error.strerror}") from error
    finally:
        os.close(path_fd)
    try:
        status = os.fstat(fd)
        yield OpenFile(fd, status.st_size, status.st_ino, status.st_mtime, names[-1] if names else "")
    finally:
        os.close(fd)


def read_chunk(file: OpenFile, offset: int, length: int) -> Chunk:
    """At most MAX_CHUNK bytes. A negative offset is the end of the file, a negative length all there is (bounded)."""
    begin = file.size if offset < 0 else min(offset, file.size)
    wanted = MAX_CHUNK if length < 0 else min(length, MAX_CHUNK)
    data = os.pread(file.fd, wanted, begin) if wanted and offset >= 0 else b""
    return Chunk(begin, len(data), file.size, file.inode, data.decode("utf-8", "replace"))


def read_lines(file: OpenFile, offset: int, length: int) -> Chunk:
    """As `read_chunk`, but the end is moved back to the end of a line, if there is one in it and more to come; at most
    MAX_LINES lines."""
    begin = min(max(0, offset), file.size)
    data = os.pread(file.fd, min(max(0, length), MAX_CHUNK), begin)
    if begin + len(data) < file.size and b"\n" in data:
        data = data[: data.rindex(b"\n") + 1]
    if data.count(b"\n") > MAX_LINES:
        data = b"\n".join(data.split(b"\n", MAX_LINES)[:MAX_LINES]) + b"\n"
    return Chunk(begin, len(data), file.size, file.inode, data.decode("utf-8", "replace"))


def read_page_before(file: OpenFile, end: int, length: int) -> Chunk:
    """The page that ends at `end`: begins at the beginning of a line, if there is one in it; at most MAX_LINES
    lines."""
    end = min(max(0, end), file.size)
    begin = max(0, end - min(length, MAX_CHUNK))
    data = os.pread(file.fd, end - begin, begin)
    if begin and b"\n" in data[:-1]:
        skipped = data.index(b"\n") + 1
        begin, data = begin + skipped, data[skipped:]
    if data.count(b"\n") > MAX_LINES:
        kept = b"\n".join(data.rsplit(b"\n", MAX_LINES + 1)[1:])
        begin, data = begin + len(data) - len(kept), kept
    return Chunk(begin, len(data), file.size, file.inode, data.decode("utf-8", "replace"))


def list_directory(base: Path, names: tuple[str, ...]) -> tuple[list[Entry], int]:
    """Entries of a directory by name, directories first, and how many were left out. Raises NoSuchFile, Refused."""
    fd = _open_path(base, names)
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise NoSuchFile("it is not a directory")
        entries, left_out = _list(f"/proc/self/fd/{fd}")
        return [_entry(base, names, entry) for entry in entries], left_out
    except OSError as error:
        raise NoSuchFile(f"cannot read it: {error.strerror}") from error
    finally:
        os.close(fd)


def _list(path: str) -> tuple[list[tuple[str, os.stat_result, str]], int]:
    """(name, status, target of a link) of the first MAX_ENTRIES names."""
    with os.scandir(path) as scan:
        found = sorted(scan, key=lambda entry: (not entry.is_dir(follow_symlinks=False), entry.name))
    entries = []
    for entry in found[:MAX_ENTRIES]:
        try:
            status = entry.stat(follow_symlinks=False)
            target = str(Path(entry.path).readlink()) if entry.is_symlink() else ""
        except OSError:
            continue  # it has just gone
        entries.append((entry.name, status, target))
    return entries, max(0, len(found) - MAX_ENTRIES)


def directory_bytes(base: Path, names: tuple[str, ...], prefixes: tuple[str, ...]) -> int:
    """The size of the regular files in a directory whose names begin so; no link is followed on the way. 0 if there
    is no such directory."""
    fd = -1
    try:
        fd = os.open(base, _DIRECTORY)
        for name in names:
            if name in (".", "..") or "/" in name:
                return 0
            above, fd = fd, os.open(name, _DIRECTORY, dir_fd=fd)
            os.close(above)
        with os.scandir(fd) as entries:
            return sum(_file_size(entry) for entry in entries if entry.name.startswith(prefixes))
    except OSError:
        return 0
    finally:
        if fd >= 0:
            os.close(fd)


def _file_size(entry: os.DirEntry[str]) -> int:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return 0  # it has just gone
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _entry(base: Path, names: tuple[str, ...], found: tuple[str, os.stat_result, str]) -> Entry:
    name, status, target = found
    path = (*names, name)
    mode = status.st_mode
    kind = "link" if stat.S_ISLNK(mode) else "directory" if stat.S_ISDIR(mode) else "other"
    if stat.S_ISREG(mode):
        kind = "file"
    return Entry(
        name=shown(name),
        kind=kind,
        mode=stat.filemode(mode),
        links=status.st_nlink,
        user=user_name(status.st_uid),
        group=group_name(status.st_gid),
        size=status.st_size,
        modified_at=max(0.0, status.st_mtime),
        href=encode_path(path),
        opens=kind in ("file", "directory") or (kind == "link" and _leads_inside(base, path)),
        target=shown(target),
    )


def _leads_inside(base: Path, path: tuple[str, ...]) -> bool:
    try:
        resolved = resolve_inside(base, path)
    except (NoSuchFile, Refused):
        return False
    return resolved.is_file() or resolved.is_dir()


@lru_cache(maxsize=1000)
def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=1000)
def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
