"""What a bundle does seldom: unpacking, telling what is inside, removing what is old.

Everything is written into a new directory, which then gets its name by one rename: who finds the name finds all of
it. Of several that start at once one unpacks, and the others wait for it (a lock that the kernel lifts when its
holder dies); one that waited too long unpacks for itself, and the first rename wins. What killed ones left behind is
removed by the next.
"""

import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import stat
import sys
import time
import zipfile
from typing import Any

import launcher
from launcher import DAMAGED, INSTEAD, UNFIT, Stop

#: How long another one's unpacking is waited for.
PATIENCE_S = 10.0
#: What a directory being unpacked is called, until it is renamed: the pid of who does it.
NEW = ".new-"


def perform(command: str, facts: dict[str, Any], cache: str, home: str, tag: str) -> int:
    if command == "--bundle-info":
        info = {**facts, "cache": cache, "home": home, "python": sys.executable, "unpacked": launcher.is_ready(home)}
        print(json.dumps(info, indent=2))
    elif command == "--bundle-unpack":
        if not launcher.is_ready(home):
            make_ready(facts, cache, home, tag)
        launcher.check_chain(cache)
        print(home)
    else:
        for name in clean(cache, keep=os.path.basename(home)):
            print("removed", os.path.join(cache, name))
    return 0


def make_ready(facts: dict[str, Any], cache: str, home: str, tag: str) -> None:
    """Unpack to `home`, unless somebody else does it first."""
    make_cache(cache)
    launcher.check_chain(cache)
    if os.statvfs(cache).f_flag & os.ST_NOEXEC:
        raise Stop(f"cannot run from {cache}: its file system is mounted noexec; {INSTEAD}")
    lock = os.open(os.path.join(cache, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        wait_for(lock)
        if launcher.is_ready(home):
            return
        remove_leftovers(cache)
        unpack(facts, cache, home, tag)
    finally:
        os.close(lock)


def make_cache(cache: str) -> None:
    try:
        os.mkdir(cache, 0o755)
    except FileExistsError:
        pass
    except FileNotFoundError:
        make_cache(os.path.dirname(cache))
        make_cache(cache)
    except OSError as error:
        raise Stop(f"cannot make {cache}: {error.strerror}; {INSTEAD}") from None


def wait_for(lock: int) -> None:
    """Until the lock is ours, or patience is at its end: then two unpack, and one of them for nothing."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > deadline:
                return
        time.sleep(0.02)


def unpack(facts: dict[str, Any], cache: str, home: str, tag: str) -> None:
    if tag not in facts["pythons"]:
        raise Stop(f"{sys.executable} is {tag}, and this bundle is for {', '.join(facts['pythons'])}", UNFIT)
    fresh = os.path.join(cache, f"{NEW}{os.getpid()}-{time.monotonic_ns()}")
    try:
        os.mkdir(fresh, 0o755)
        sizes = write_parts(fresh, ("any.zip", tag + ".zip"), facts["parts"])
        sizes.update(compile_missing(fresh, sizes))
        lines = [f"{size} {name}" for name, size in sorted(sizes.items())]
        write(os.path.join(fresh, "manifest"), "\n".join([*lines, "end\n"]).encode(), 0o644)
        try_imports(fresh)
        put_in_place(fresh, home)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            need = facts["unpacked_bytes"] / 2**20
            raise Stop(f"cannot unpack into {cache}: {error.strerror} ({need:.0f} MiB are needed); {INSTEAD}") from None
        raise Stop(f"cannot unpack into {cache}: {error.strerror or error}; {INSTEAD}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def write_parts(fresh: str, names: tuple[str, ...], digests: dict[str, str]) -> dict[str, int]:
    """The members of these inner zips, {path: size}."""
    sizes = {}
    made = {fresh}
    for name in names:
        with zipfile.ZipFile(io.BytesIO(checked_part(name, digests[name]))) as inner:
            for member in inner.infolist():
                path = os.path.join(fresh, member.filename)
                if os.path.dirname(path) not in made:
                    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
                    made.add(os.path.dirname(path))
                data = inner.read(member)
                write(path, data, member.external_attr >> 16 & 0o777)
                sizes[member.filename] = len(data)
    return sizes


def checked_part(name: str, digest: str) -> bytes:
    """One of the inner zips, as it was when the bundle was made."""
    try:
        with zipfile.ZipFile(sys.path[0]) as bundle:
            data = bundle.read(name)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        data = b""
    if hashlib.sha256(data).hexdigest() != digest:
        raise Stop(f"cannot unpack {sys.path[0]}: it is damaged ({name} is not what it was); fetch it again", DAMAGED)
    return data


def write(path: str, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)  # whatever the umask
        file.write(data)


def compile_missing(fresh: str, sizes: dict[str, int]) -> dict[str, int]:
    """Bytecode that was not put into the bundle, for want of this Python there; {path: size}."""
    suffix = f".{sys.implementation.cache_tag}.pyc"
    made = {}
    for name in sizes:
        head, _, file = name.rpartition("/")
        target = f"{head}/__pycache__/{file[:-3]}{suffix}"
        if not name.startswith("lib/") or not name.endswith(".py") or target in sizes:
            continue
        import py_compile

        path = os.path.join(fresh, target)
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(os.path.join(fresh, name), path, dfile=name[4:], doraise=True, invalidation_mode=mode)
        os.chmod(path, 0o644)
        made[target] = os.lstat(path).st_size
    return made


def try_imports(fresh: str) -> None:
    """Can this Python load what was compiled for its kind? One line is better than the executor's traceback."""
    sys.path.insert(0, os.path.join(fresh, "lib"))
    sys.dont_write_bytecode = True
    try:
        import msgspec  # noqa: F401
    except ImportError as error:
        text = " ".join(str(error).split())
        raise Stop(f"{sys.executable} cannot load what this bundle holds for it: {text}", UNFIT) from None
    finally:
        del sys.path[0]


def put_in_place(fresh: str, home: str) -> None:
    """By one rename; something torn that has the name goes away first, something whole stays."""
    for _ in range(5):
        try:
            os.rename(fresh, home)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
        if launcher.is_ready(home):
            return
        torn = fresh + ".torn"
        try:
            os.rename(home, torn)
        except FileNotFoundError:
            continue
        shutil.rmtree(torn, ignore_errors=True)
    raise Stop(f"cannot unpack to {home}: somebody else changes it all the time")


def remove_leftovers(cache: str) -> None:
    """New directories of processes that are gone."""
    for name in os.listdir(cache):
        pid = name[len(NEW) :].partition("-")[0]
        if name.startswith(NEW) and pid.isdigit() and not os.path.exists("/proc/" + pid):
            shutil.rmtree(os.path.join(cache, name), ignore_errors=True)


def clean(cache: str, keep: str) -> list[str]:
    """Remove what other bundles unpacked here, unless an executor runs from it; the names."""
    removed = []
    if not os.path.isdir(cache):
        return removed
    launcher.check_chain(cache)
    remove_leftovers(cache)
    for name in sorted(os.listdir(cache)):
        path = os.path.join(cache, name)
        if name == keep or not stat.S_ISDIR(os.lstat(path).st_mode) or not os.path.isfile(path + "/manifest"):
            continue
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # in use
        else:
            gone = os.path.join(cache, f"{NEW}{os.getpid()}-{name}")
            os.rename(path, gone)  # first out of the way, so that nobody starts from half of it
            shutil.rmtree(gone, ignore_errors=True)
            removed.append(name)
        finally:
            os.close(lock)
    return removed
