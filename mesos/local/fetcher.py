"""Brings the URIs of a command into its sandbox: files of this machine and http(s) downloads, archives unpacked.

Everything that writes into the sandbox or reads files of this machine is a small program of the system, run as the
container's user (`cp`, `tar`, `unzip`, `gzip`), so nobody gets what they may not read; downloads are made here,
bounded, into the cache. With `cache` a download is kept for the next one who wants it. What fails is told in the
sandbox' `stderr`, as the fetcher of a real agent does.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import aiohttp

from mesos.core.messages import CommandURI
from thermos.errors import HostError, RemoteError, UserError

_TAR = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FetchLimits:
    download_bytes: int = 2 << 30
    cache_bytes: int = 2 << 30
    stall_s: float = 60.0
    command_s: float = 600.0


DEFAULT_LIMITS = FetchLimits()


@dataclass(frozen=True, slots=True)
class Account:
    """Whom programs are run as; nobody else when it is empty."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()

    def arguments(self) -> dict[str, Any]:
        if self.uid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": list(self.groups)}


@dataclass(slots=True)
class Sandbox:
    directory: Path
    account: Account = field(default_factory=Account)
    log: BinaryIO | None = None  # its stderr


class Fetcher:
    """Of one agent. Nothing of it is left when `close` has returned, but the cache."""

    def __init__(self, cache: Path, limits: FetchLimits = DEFAULT_LIMITS) -> None:
        self._cache = cache
        self._limits = limits
        self._locks: dict[str, asyncio.Lock] = {}
        self._session: aiohttp.ClientSession | None = None

    async def fetch(self, uris: Sequence[CommandURI], sandbox: Sandbox) -> None:
        """All of them, in order. Raises an error of ThermosError that says which one could not be had, and why."""
        for uri in uris:
            try:
                await self._fetch(uri, sandbox)
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                raise RemoteError(f"cannot fetch {uri.value}: {_why(error)}") from error
            except ValueError as error:  # of urlsplit, and of whoever hands a null byte to the system
                raise UserError(f"cannot fetch {uri.value!r}: {error}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- one URI

    async def _fetch(self, uri: CommandURI, sandbox: Sandbox) -> None:
        target = target_of(uri, sandbox.directory)
        await self._make_parents(target, sandbox)
        scheme = urlsplit(uri.value).scheme if "://" in uri.value else ""
        if scheme in ("", "file"):
            source = await self._local(uri, sandbox)
            is_kept = True
        elif scheme in ("http", "https"):
            source = await self._download(uri)
            is_kept = uri.cache
        else:
            raise UserError(f"cannot fetch {uri.value}: {scheme} is not supported, use a path, file, http or https")
        try:
            await self._bring(uri, source, target, sandbox)
        finally:
            if not is_kept:
                source.unlink(missing_ok=True)

    async def _bring(self, uri: CommandURI, source: Path, target: Path, sandbox: Sandbox) -> None:
        """The file itself is in the sandbox, too, when it was unpacked (but for a cached one, as in Mesos)."""
        command = None
        if uri.extract and not uri.executable:
            command = unpacking(target.name, source, target, sandbox.directory)
        if command is None or not uri.cache:
            await self._run(["cp", "--", str(source), str(target)], sandbox)
        if command is not None:
            await self._run(command, sandbox)
        if uri.executable:
            await self._run(["chmod", "a+x", "--", str(target)], sandbox)

    async def _make_parents(self, target: Path, sandbox: Sandbox) -> None:
        if target.parent != sandbox.directory:
            await self._run(["mkdir", "-p", "--", str(target.parent)], sandbox)

    async def _local(self, uri: CommandURI, sandbox: Sandbox) -> Path:
        path = Path(unquote(urlsplit(uri.value).path)) if "://" in uri.value else Path(uri.value)
        if not path.is_absolute():
            raise UserError(
                f"cannot fetch {uri.value}: a relative path was passed for the resource, but frameworks_home is not set"
            )
        if not stat.S_ISREG(path.stat().st_mode):
            raise UserError(f"cannot fetch {uri.value}: it is no regular file")
        return path

    async def _run(self, command: list[str], sandbox: Sandbox) -> None:
        if shutil.which(command[0]) is None:
            raise HostError(f"cannot fetch: {command[0]} is not installed")
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=sandbox.directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sandbox.log or asyncio.subprocess.DEVNULL,
            stderr=sandbox.log or asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # the rest of ours is not for the container's user
            **sandbox.account.arguments(),
        )
        try:
            async with asyncio.timeout(self._limits.command_s):
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            raise HostError(f"cannot fetch: {command[0]} ended with status {code}: {' '.join(command)}")

    # --- downloads

    async def _download(self, uri: CommandURI) -> Path:
        """A file in the cache directory: the shared one, or one for this time only."""
        self._cache.mkdir(parents=True, exist_ok=True)
        self._cache.chmod(0o755 if os.geteuid() == 0 else 0o700)  # root's tasks are of many users
        name = hashlib.sha256(uri.value.encode()).hexdigest()[:32]
        if not uri.cache:
            return await self._load(uri.value, self._cache / f"once-{name}-{os.urandom(6).hex()}")
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            cached = self._cache / f"c-{name}"
            if not cached.exists():
                await self._load(uri.value, cached)
                self._evict(keep=cached)
            else:
                os.utime(cached)
        if not lock.locked():
            self._locks.pop(name, None)
        return cached

    async def _load(self, url: str, target: Path) -> Path:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=self._limits.stall_s, sock_read=self._limits.stall_s
            )
            self._session = aiohttp.ClientSession(
                timeout=timeout,
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,  # an archive stays as it is, whatever its server takes its packing for
                cookie_jar=aiohttp.DummyCookieJar(),  # tasks share this session, and no cookies
            )
        part = target.with_name(target.name + f".part-{os.urandom(4).hex()}")
        try:
            async with self._session.get(url) as response:
                if response.status != 200:
                    raise RemoteError(f"cannot fetch {url}: the server answered {response.status} {response.reason}")
                await self._write(response, url, part)
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    async def _write(self, response: aiohttp.ClientResponse, url: str, part: Path) -> None:
        limit, size = self._limits.download_bytes, 0
        with part.open("xb") as out:
            async for chunk in response.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise RemoteError(f"cannot fetch {url}: it has more than {limit} bytes")
                out.write(chunk)
        part.chmod(0o644)

    def _evict(self, keep: Path) -> None:
        """The longest unused first, until the cache is within its bounds."""
        files = sorted((p for p in self._cache.glob("c-*") if ".part-" not in p.name), key=lambda p: p.stat().st_mtime)
        total = sum(p.stat().st_size for p in files)
        for path in files:
            if total <= self._limits.cache_bytes:
                break
            if path != keep:
                total -= path.stat().st_size
                path.unlink(missing_ok=True)


def target_of(uri: CommandURI, sandbox: Path) -> Path:
    """Where it goes; never outside of the sandbox."""
    if uri.output_file:
        name = PurePosixPath(uri.output_file)
        if name.is_absolute() or ".." in name.parts or not name.name:
            raise UserError(f"cannot fetch {uri.value}: output_file {uri.output_file!r} is not inside the sandbox")
        return sandbox / name
    path = urlsplit(uri.value).path if "://" in uri.value else uri.value
    base = PurePosixPath(unquote(path)).name
    if base in ("", ".", ".."):
        raise UserError(f"cannot fetch {uri.value}: there is no file name in it")
    return sandbox / base


def unpacking(name: str, source: Path, target: Path, sandbox: Path) -> list[str] | None:
    """The command that unpacks an archive of this name; None when it is none."""
    lower = name.lower()
    if lower.endswith(_TAR):
        return ["tar", "-C", str(sandbox), "--no-same-owner", "-xf", str(source)]
    if lower.endswith(".zip"):
        return ["unzip", "-q", "-o", "-d", str(sandbox), str(source)]
    if lower.endswith(".gz"):
        script = 'exec gzip -dc < "$1" > "$2"'
        return ["sh", "-c", script, "sh", str(source), str(target.with_name(name[:-3]))]
    return None


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    if isinstance(error, aiohttp.InvalidURL):
        return "it is no URL"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
