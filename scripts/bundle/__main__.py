"""The first Python that runs in a bundle: is everything unpacked already? Then the executor takes its place.

`python -c TEXT BUNDLE ARGUMENT…`: the shell that starts it has the text. (Python can run a zip as well, but that takes
twice as long.) Kept small, because every task pays for it; what is rarely needed is in `unpack`. A directory is trusted
when nobody but its owner (us, or root) can have put something there: so must be all directories above it. The executor
gets a descriptor of it, and imports through that: a sandbox is later given to the task's user, who may rename what lies
in it, but not what is open. A shared lock on it lives as long as the executor: `--bundle-clean` leaves it alone.
"""

import fcntl
import os
import stat
import sys

FACTS = None  # put here by build.py: version, digest, pythons, wheels, …

#: Exit codes, those of sysexits.h: the bundle is damaged, no Python fits (launcher.sh), the host refuses.
DAMAGED, UNFIT, REFUSED = 65, 69, 73
CACHE_VARIABLE = "THERMOS_EXECUTOR_CACHE"
INSTEAD = f"name another directory with --bundle-cache or {CACHE_VARIABLE}"


class Stop(Exception):
    """One line for stderr, and an exit code."""

    def __init__(self, text: str, code: int = REFUSED) -> None:
        super().__init__(text)
        self.code = code


def main(arguments: list[str]) -> int:
    sys.path.insert(0, arguments[0])  # for `unpack`
    cache, command, rest = read_arguments(arguments[1:])
    if command == "--version":
        print("thermos_executor", FACTS["version"])
        return 0
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    cache = os.path.abspath(cache or default_cache())
    home = os.path.join(cache, "-".join((FACTS["version"], FACTS["digest"], tag)))
    if command is not None:
        import unpack

        return unpack.perform(command, FACTS, cache, home, tag)
    for _ in range(5):  # it may be removed just when it is to be used
        if not is_ready(home):
            import unpack

            unpack.make_ready(FACTS, cache, home, tag)
        check_chain(cache)
        held = hold(home)
        if held is not None:
            break
    else:
        raise Stop(f"cannot use {home}: somebody removes it all the time")
    program = os.path.join(home, "thermos_executor")
    os.execv(sys.executable, [sys.executable, "-I", "-S", program, str(held), *rest])
    return REFUSED  # not reached


def read_arguments(arguments: list[str]) -> tuple[str | None, str | None, list[str]]:
    """(the cache that was named or None, a command of the bundle's own or None, what is the executor's)."""
    cache, command, rest = None, None, []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--bundle-cache":
            cache = value if equals else next(words, "")
            if not cache:
                raise Stop("--bundle-cache needs a directory", 2)
        elif word in ("--version", "--bundle-info", "--bundle-unpack", "--bundle-clean"):
            command = word
        elif name.startswith("--bundle-"):
            own = "--bundle-info, --bundle-unpack, --bundle-clean, --bundle-cache DIR"
            raise Stop(f"no such option: {word} (there are {own})", 2)
        else:
            rest.append(word)
    return cache, command, rest


def default_cache() -> str:
    """Named by the environment; else beside the sandbox."""
    named = os.environ.get(CACHE_VARIABLE)
    return named or os.path.join(os.environ.get("MESOS_SANDBOX") or os.getcwd(), ".thermos_executor")


def is_ready(home: str) -> bool:
    """Everything is there, as long as it was when it was unpacked. Raises Stop when somebody else put it there."""
    try:
        found = os.lstat(home)
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or not is_ours(found):
        raise Stop(
            f"cannot trust {home}: it is no directory that uid {os.geteuid()} or root alone can change; remove it"
        )
    try:
        with open(os.path.join(home, "manifest")) as file:
            lines = file.read().splitlines()
        return lines[-1:] == ["end"] and all(is_whole(home, line) for line in lines[:-1])
    except (OSError, ValueError):
        return False


def is_whole(home: str, line: str) -> bool:
    """`SIZE PATH`"""
    size, _, name = line.partition(" ")
    found = os.lstat(home + "/" + name)
    return found.st_size == int(size) and stat.S_ISREG(found.st_mode) and is_ours(found)


def is_ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


def check_chain(path: str) -> None:
    """Nobody else can put another directory in the place of this one, or of one above it."""
    path = os.path.realpath(path)
    while True:
        found = os.stat(path)
        sticky = bool(found.st_mode & stat.S_ISVTX)
        if found.st_uid not in (0, os.geteuid()) or (found.st_mode & 0o022 and not sticky):
            raise Stop(f"cannot trust {path}: others than uid {os.geteuid()} and root can change it; {INSTEAD}")
        if path == "/":
            return
        path = os.path.dirname(path)


def hold(home: str) -> int | None:
    """A descriptor of it that survives exec, with a lock on it; None: it is just being removed."""
    try:
        fd = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(fd), os.lstat(home)):
            return None
    except (FileNotFoundError, BlockingIOError):
        return None
    os.set_inheritable(fd, True)
    return fd


def run() -> int:
    try:
        return main(sys.argv[1:])
    except Stop as stop:
        text, code = str(stop), stop.code
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        text, code = f"cannot use{where}: {error.strerror or error}", REFUSED
    except KeyboardInterrupt:
        text, code = "interrupted", 130
    print("thermos_executor:", text, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.modules["launcher"] = sys.modules["__main__"]  # `unpack` imports it by this name
    sys.exit(run())
