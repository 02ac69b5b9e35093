"""The files of an agent's sandboxes over HTTP: list, read, download. Never anything outside of a sandbox.

A path names a sandbox as Mesos does, by its place on this machine or as `/frameworks/F/executors/E/runs/latest`, and
goes on inside of it. It is resolved, links and all, and has to be in the sandbox then. Reads are bounded.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

from mesos.local.core.agent_disk import Executor
from mesos.local.core.agent_state import AgentState
from mesos.local.core.agent_views import ended_executors, live
from mesos.local.http_words import Refusal

#: Bytes of one read; Mesos' sixteen pages.
MAX_READ = 16 * 4096

#: Entries of one listing.
MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class FileInfo:
    """As stat says it; `path` as it was asked for."""

    path: str
    nlink: int
    size: int
    mtime: float
    mode: int
    uid: str
    gid: str

    @property
    def mode_text(self) -> str:
        return stat.filemode(self.mode)


class Files:
    def __init__(self, agent: AgentState) -> None:
        self._agent = agent

    def listing(self, path: str) -> list[FileInfo]:
        real, sandbox = self._resolve(path)
        if not real.is_dir():
            return []
        found: list[FileInfo] = []
        try:
            with os.scandir(real) as entries:
                for entry in entries:
                    if len(found) >= MAX_LISTED:
                        break
                    info = _info(entry, f"{path.rstrip('/')}/{_shown(entry.name)}", sandbox)
                    if info is not None:
                        found.append(info)
        except OSError as error:  # a task may lock its folders
            raise Refusal(403) from error
        return sorted(found, key=lambda info: info.path)

    def read(self, path: str, offset: int, length: int | None) -> tuple[bytes, int]:
        """The bytes from `offset` on, at most `MAX_READ`, and the size of the file."""
        with self.open(path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(min(offset, size))
            return file.read(min(MAX_READ, MAX_READ if length is None else length)), size

    def open(self, path: str) -> OpenFile:
        real, sandbox = self._resolve(path)
        if real.is_dir():
            raise Refusal(400, "Cannot read a directory.\n")
        return OpenFile(real, sandbox)

    def attached(self) -> dict[str, str]:
        """Paths that may be asked for -> directories."""
        return {path: executor.directory for path, executor in self._attached()}

    def _attached(self) -> Iterator[tuple[str, Executor]]:
        """The newest run of an executor is the one that `latest` names, so it comes last."""
        every = [*ended_executors(self._agent), *(e for f in live(self._agent) for e in f.executors.values())]
        for executor in every:
            runs = str(PurePosixPath(executor.directory).parent)
            yield executor.directory, executor
            yield f"{runs}/latest", executor
            yield f"/frameworks/{executor.framework_id}/executors/{executor.id}/runs/latest", executor

    def _resolve(self, path: str) -> tuple[Path, Path]:
        """The file and its sandbox."""
        wanted = PurePosixPath(path)
        best: tuple[str, Executor] | None = None
        for place, executor in self._attached():
            if wanted.is_relative_to(place):
                best = place, executor
        if best is None or "\0" in path:
            raise Refusal(404)
        sandbox = Path(best[1].directory).resolve()
        try:
            real = (sandbox / wanted.relative_to(best[0])).resolve()
            exists = real.exists()
        except (OSError, RuntimeError) as error:  # a loop of links
            raise Refusal(404) from error
        if not real.is_relative_to(sandbox):
            raise Refusal(400, f"'{path}' is inaccessible.\n")
        if not exists:
            raise Refusal(404)
        return real, sandbox


class OpenFile:
    """A regular file, opened so that what was put in its place meanwhile is neither followed nor waited for; where it
    really is, is looked at once more."""

    def __init__(self, real: Path, sandbox: Path) -> None:
        try:
            descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Refusal(404 if isinstance(error, FileNotFoundError) else 403, "") from error
        self._file = os.fdopen(descriptor, "rb")
        is_inside = Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(sandbox)
        if not is_inside or not stat.S_ISREG(os.fstat(descriptor).st_mode):
            self._file.close()
            raise Refusal(400, f"'{real.name}' is inaccessible.\n")

    def __enter__(self) -> OpenFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        return self._file.fileno()

    def seek(self, offset: int) -> None:
        self._file.seek(offset)

    def read(self, size: int) -> bytes:
        return self._file.read(size)


def _info(entry: os.DirEntry[str], path: str, sandbox: Path) -> FileInfo | None:
    """A link that leads out of the sandbox is shown as a link, any other one as what it leads to."""
    try:
        follows = not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(sandbox)
        found = entry.stat(follow_symlinks=follows)
    except (OSError, RuntimeError):
        return None  # gone meanwhile, or a link to nowhere
    mtime, owner, group = found.st_mtime_ns // 10**9, _user(found.st_uid), _group(found.st_gid)
    return FileInfo(path, found.st_nlink, found.st_size, float(mtime), found.st_mode, owner, group)


def _shown(name: str) -> str:
    """A name may hold any bytes; JSON holds text."""
    return os.fsencode(name).decode(errors="replace")


@lru_cache(maxsize=1024)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@lru_cache(maxsize=1024)
def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
