"""The coordinator in plain Python, for hosts where no C compiler was at hand: it minds one run of one process.

docs/coordinator.md is the contract; `coordinator.c` and its sisters keep the same one and tell the same story:
orders -> lock -> `forked` -> logs, fork -> `running` -> (stop) -> main exits -> `exited` -> ... `gone`.
One thread, one poll(), four signals read from a signalfd, a handful of deadlines.

It runs by path as `python -I -S -E coordinator.py TASK/PROCESS/RUN`: one long file, because it can import nothing of
ours, and of the standard library it imports only what starts quickly. Where it differs: it needs some 7 MiB and 25 ms,
and `maxrss` of a small command shows the size of this interpreter, from which it was forked.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import select
import signal
import stat
import sys
import time
from binascii import crc32

PROC = "/proc"
CHILDREN = "children"
NEVER = float("inf")
DONE, SUPERSEDED, BUSY, UNBEGUN, UNUSABLE, BROKEN = 0, 3, 4, 5, 100, 111
TASK_DIR = 3
RETRY_MIN, RETRY_MAX, LOCK_WAIT, DRAIN = 0.1, 5.0, 2.0, 2.0
KILL_MIN, KILL_MAX = 0.01, 1.0
CHUNK, BURST, NAMED = 65536, 16, 32
PR_SET_PDEATHSIG, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 1, 15, 36
BACK_OFF_MIN, BACK_OFF_MAX = 0.1, 30.0
LONG_LIFE = 60.0
#: What a keeper passes on to its command.
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
RT_SIGACTION = {"x86_64": 13, "aarch64": 134, "riscv64": 134, "loongarch64": 134, "ppc64le": 173, "s390x": 174}
WAITID = {"x86_64": 247, "aarch64": 95, "riscv64": 95, "loongarch64": 95, "ppc64le": 272, "s390x": 281}

libc = ctypes.CDLL(None, use_errno=True)
now = time.monotonic


def give_up(code: int, text: str) -> None:
    """Ends before anything could be recorded: one line on stderr."""
    try:
        os.write(2, f"thermos-coordinator: {text}\n".encode("utf-8", "surrogateescape"))
    except OSError:
        pass  # nobody is listening; the exit code says it too
    os._exit(code)


def read_file(path: str) -> bytes:
    """The file's bytes, or nothing if it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(fd)


# ---- orders


class Unusable(Exception):
    """An order whose value makes no sense."""


def number(text: bytes, least: int, most: int) -> int:
    digits = text[1:] if text[:1] == b"-" else text
    if not digits.isdigit() or not least <= int(text) <= most:
        raise Unusable
    return int(text)


NUMBERS = {
    "run": (0, 2**63 - 1),
    "scan_from": (0, 2**63 - 1),
    "umask": (0, 0o777),
    "uid": (0, 2**32 - 2),
    "gid": (0, 2**32 - 2),
    "log_size": (1, 2**62),
    "log_backups": (1, 100000),
    "stop_signal": (1, 64),
    "stop_wait": (0, 2**61),
    "owner_wait": (0, 2**61),
}
TEXTS = ("process", "inbox", "wake", "cwd", "chroot", "cgroup", "log_base", "log_dir", "log_file")
CHOICES = {
    "destination": (b"file", b"console", b"both", b"none"),
    "mode": (b"standard", b"rotate"),
    "on_owner_death": (b"keep", b"stop"),
    "respawn": (b"0", b"1"),
    "records": (b"inbox", b"pipe"),
}


class Orders:
    """What we were told to do. Orders that can't be carried out become a `problem`, recorded as a failed set-up."""

    def __init__(self, data: bytes) -> None:
        self.numbers: dict[str, int] = {"scan_from": 0, "stop_signal": 15, "stop_wait": 10000, "owner_wait": 0}
        self.texts: dict[str, bytes] = {"wake": b""}
        self.choices: dict[str, bytes] = {key: names[0] for key, names in CHOICES.items()}
        self.arguments: list[bytes] = []
        self.environment: dict[bytes, bytes] = {}
        self.limits: list[tuple[int, int, int]] = []
        self.groups: list[int] | None = None
        self.respawn_codes: list[int] = []
        self.pruned: list[int] = []
        self.owner: tuple[int, int] | None = None
        self.problem = ""
        if not data.startswith(b"1\0") or not data.endswith(b"\0"):
            give_up(UNUSABLE, "orders are not version 1, or cut short")
        for field in data[2:-1].split(b"\0") if len(data) > 2 else []:
            key, equals, value = field.partition(b"=")
            try:
                known = self._take(key.decode("ascii", "replace"), value) if equals else self._refuse()
                problem = "" if known else "unsupported"
            except Unusable:
                problem = "orders"
            self.problem = "unsupported" if "unsupported" in (self.problem, problem) else self.problem or problem
        self._require_essentials()
        if not self.problem and not self._fit_together():
            self.problem = "orders"

    def _refuse(self) -> bool:
        raise Unusable

    def _take(self, key: str, value: bytes) -> bool:
        """Takes one order; False if its key is unknown."""
        if key == "arg":
            self.arguments.append(value)
        elif key == "env":
            name, equals, content = value.partition(b"=")
            if not equals or not name:
                raise Unusable
            self.environment[name] = content
        elif key in TEXTS:
            self.texts[key] = value
        elif key in NUMBERS:
            self.numbers[key] = number(value, *NUMBERS[key])
        elif key in CHOICES:
            if value not in CHOICES[key]:
                raise Unusable
            self.choices[key] = value
        else:
            return self._take_list(key, value)
        return True

    def _take_list(self, key: str, value: bytes) -> bool:
        if key == "groups":
            self.groups = [number(part, 0, 2**32 - 2) for part in value.split(b",")] if value else []
        elif key == "respawn_codes":
            self.respawn_codes += [number(part, 0, 255) for part in value.split(b",")] if value else []
        elif key == "prune":
            if len(self.pruned) == 32:
                raise Unusable
            self.pruned.append(number(value, 0, 2**63 - 1))
        elif key == "rlimit":
            parts = value.split(b":")
            if len(parts) != 3 or len(self.limits) == 32:
                raise Unusable
            which, soft, hard = (number(part, -1, 2**63 - 1) for part in parts)
            if not 0 <= which <= 1000:
                raise Unusable
            self.limits.append((which, soft, hard))
        elif key == "owner":
            pid, _, start = value.partition(b":")
            self.owner = number(pid, 1, 2**31 - 1), number(start, 0, 2**63 - 1)
        else:
            return False
        return True

    def _require_essentials(self) -> None:
        process = self.texts.get("process")
        inbox = self.texts.get("inbox", b"")
        if process is None or len(process) >= 1600 or any(byte < 32 for byte in process):
            give_up(UNUSABLE, "orders lack a usable process")
        if "run" not in self.numbers:
            give_up(UNUSABLE, "orders lack a usable run")
        if not self.to_pipe and (not inbox or b"/" in inbox):
            give_up(UNUSABLE, "orders lack a usable inbox")
        if not self.arguments:
            give_up(UNUSABLE, "orders lack a usable arg")

    def _fit_together(self) -> bool:
        to_file = self.choices["destination"] in (b"file", b"both")
        return (
            (not to_file or (self.texts.get("log_base", b"")[:1] == b"/" and "log_dir" in self.texts))
            and (not to_file or not self.rotates or {"log_size", "log_backups"} <= self.numbers.keys())
            and (self.groups is None or {"uid", "gid"} <= self.numbers.keys())
            and self.arguments[0][:1] == b"/"
            and (self.choices["on_owner_death"] == b"keep" or (self.owner is not None and not self.respawns))
            and not (self.to_pipe and self.respawns)
            and self.numbers["run"] not in self.pruned
            and ("log_file" not in self.texts or (self.respawns and to_file and self._has_log_name()))
            and len(self.texts["wake"]) < 256
        )

    def _has_log_name(self) -> bool:
        name = self.texts["log_file"]
        return 0 < len(name) < 24 and name[:1] != b"." and b"/" not in name

    @property
    def rotates(self) -> bool:
        return self.choices["mode"] == b"rotate"

    @property
    def respawns(self) -> bool:
        return self.choices["respawn"] == b"1"

    @property
    def to_pipe(self) -> bool:
        return self.choices["records"] == b"pipe"


def read_orders() -> bytes:
    parts = []
    try:
        while part := os.read(0, 1 << 20):
            parts.append(part)
    except OSError as error:
        give_up(UNUSABLE, f"cannot read the orders on stdin: {error.strerror}")
    return b"".join(parts)


# ---- records


class Inbox:
    """The file of facts: one line each, queued while the disk is full, and a poke of the FIFO `wake` after each.

    A run without a checkpoint has a pipe instead; a reader of it that has gone wants to know no more."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.name = orders.texts.get("inbox", b"")
        self.process = orders.texts["process"]
        self.run = orders.numbers["run"]
        self.queue: list[bytes] = []
        self.sequence = 0
        self.write_at = NEVER
        self.write_wait = RETRY_MIN
        self.fd = -1

    def open(self) -> None:
        """Opened and locked, and this run not forked yet; else the end."""
        if self.orders.to_pipe:
            self._use_pipe()
            return
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        name = os.fsdecode(self.name)
        try:
            self.fd = os.open(self.name, flags, 0o644, dir_fd=TASK_DIR)
            if not stat.S_ISREG(os.fstat(self.fd).st_mode):
                give_up(BROKEN, f"not a regular file: the inbox {name}")
            self._lock()
        except OSError as error:
            give_up(BROKEN, f"cannot open and lock the inbox {name}: {error.strerror}")

    def _use_pipe(self) -> None:
        self.fd = TASK_DIR
        try:
            is_pipe = stat.S_ISFIFO(os.fstat(self.fd).st_mode)
        except OSError:
            is_pipe = False
        if not is_pipe:
            give_up(BROKEN, "not a pipe: fd 3")

    def _lock(self) -> None:
        wait, until = 0.001, now() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if self._is_forked_already():
                    os._exit(SUPERSEDED)
                if now() >= until:
                    os._exit(BUSY)
                time.sleep(wait)
                wait = min(wait * 2, 0.05)
        if self._is_forked_already():
            os._exit(SUPERSEDED)

    def _is_forked_already(self) -> bool:
        beginning = b'{"kind":"forked","process":"%s","run":%d,' % (self.process, self.run)
        at, rest = self.orders.numbers["scan_from"], b""
        while part := os.pread(self.fd, CHUNK, at):
            at += len(part)
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line[9:].startswith(beginning) and line[:9] == b"%08x " % crc32(line[9:]):
                    return True
        return False

    def next_run(self) -> None:
        """A keeper's next incarnation."""
        self.run += 1
        self.sequence = 0

    def unlock(self) -> None:
        fcntl.flock(self.fd, fcntl.LOCK_UN)

    def record(self, kind: str, fields: str = "") -> None:
        """Queues a record; `fields` is the JSON of what follows the head, with its leading comma."""
        head = b'{"kind":"%s","process":"%s","run":%d,"seq":%d,"at":%s,"mono":%s' % (
            kind.encode(),
            self.process,
            self.run,
            self.sequence,
            micros(time.time_ns()),
            micros(time.monotonic_ns()),
        )
        self.sequence += 1
        text = head + fields.encode("ascii", "replace") + b"}"
        self.queue.append(b"%08x %s\n" % (crc32(text), text))
        self.write()

    def write(self) -> bool:
        """Writes what is queued, if it is time to. True when all records are in the file."""
        while self.queue and (self.write_at == NEVER or now() >= self.write_at):
            if not self._append_head():
                self.write_at = now() + self.write_wait
                self.write_wait = min(self.write_wait * 2, RETRY_MAX)
                self._poke(b"!stuck ")
                return False
            self.write_at, self.write_wait = NEVER, RETRY_MIN
            line = self.queue.pop(0)
            if not line.startswith(b'{"kind":"forked"', 9):  # `running` or a failure follows at once
                self._poke()
        return not self.queue

    def _append_head(self) -> bool:
        """One write, after an LF if the file's tail is torn. True if the line is in the file whole."""
        try:
            size = os.fstat(self.fd).st_size
            torn = size and os.pread(self.fd, 1, size - 1) != b"\n"
            line = (b"\n" if torn else b"") + self.queue[0]
            written = os.write(self.fd, line) if line else 0
        except BrokenPipeError:
            return True
        except OSError:
            return False
        if written > 1 and written == len(line) - 1:
            self.queue[0] = b""  # only its LF is missing: the line must not come twice
        return written == len(line)

    def _poke(self, wish: bytes = b"") -> None:
        """`wish`: nothing says that there is something to read, "!stuck " that there can't be."""
        try:
            fd = os.open(b"wake", os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW, dir_fd=TASK_DIR)
        except OSError:
            return  # nobody to wake
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.write(fd, wish + self.orders.texts["wake"] + b"\n")
        except OSError:
            pass  # full: the reader wakes anyway
        os.close(fd)


def micros(ns: int) -> bytes:
    return b"%d.%06d" % (ns // 10**9, ns // 1000 % 10**6)


# ---- looking at processes

ASKED, INITIAL, AT_KILL, KILLED, REFUSED, DAEMON = 1, 2, 4, 8, 16, 32


class Member:
    """One process of the tree, as /proc/PID/stat tells."""

    def __init__(self, pid: int, parent: int, session: int, state: str, threads: int, start: int, comm: str) -> None:
        self.pid, self.parent, self.session, self.state = pid, parent, session, state
        self.threads, self.start, self.comm = threads, start, comm
        self.flags = 0


def look(pid: int) -> Member | None:
    """None if there is no such process (or no /proc)."""
    text = read_file(f"{PROC}/{pid}/stat").decode("latin-1")
    head, _, tail = text.rpartition(") ")
    field = tail.split()
    if len(field) < 20:
        return None
    comm = "".join(c if " " <= c <= "~" and c not in '"\\' else "?" for c in head.partition("(")[2])
    return Member(pid, int(field[1]), int(field[3]), field[0], int(field[17]), int(field[19]), comm)


def numbers_in(path: str) -> list[int] | None:
    try:
        return [int(name) for name in os.listdir(path) if name.isdigit()]
    except OSError:
        return None


class Tree:
    """Every process below us, and the receipt of a stop. Before any signal a pid is held and looked at again."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.own = os.getpid()
        self.main = 0
        self.main_exited = self.main_reaped = False
        self.blind = look(self.own) is None
        self.met: dict[tuple[int, int], Member] = {}
        self.asks_all = False
        self.program: tuple[int, int] | None = None

    def walk(self, deep: bool = True) -> list[Member]:
        """Our children, or all our descendants. A snapshot; whoever needs completeness walks again."""
        found: dict[int, Member] = {}
        if self.blind:
            return []
        if not self._meet_children(found, self.own, self.own):
            return self._walk_everybody()
        queue = list(found.values()) if deep else []
        while queue:
            member, before = queue.pop(), set(found)
            tids = [member.pid]
            if member.state == "?" or member.threads > 1:
                tids = numbers_in(f"{PROC}/{member.pid}/task") or tids
            for tid in tids if member.state != "Z" or member.threads > 1 else []:
                self._meet_children(found, member.pid, tid)
            queue += [found[pid] for pid in found.keys() - before]
        return list(found.values())

    def _meet_children(self, found: dict[int, Member], pid: int, tid: int) -> bool:
        """False if the kernel has no such file."""
        path = f"{PROC}/{pid}/task/{tid}/{CHILDREN}"
        text = read_file(path)
        if not text and pid == self.own and not os.path.exists(path):
            return False
        for child in map(int, text.split()):
            if child == self.main and self.main_exited:
                continue  # a zombie main is nobody's target and has no children
            member = look(child)
            if member is None and pid == self.own:  # can't be looked at, but it is ours and can't be reused
                member = Member(child, self.own, session_of(child), "?", 1, 0, "")
            if member is not None:
                found.setdefault(child, member)
        return True

    def _walk_everybody(self) -> list[Member]:
        everybody = [member for pid in numbers_in(PROC) or [] if (member := look(pid))]
        ours = {self.own}
        while True:
            more = {m.pid for m in everybody if m.parent in ours} - ours
            if not more:
                return [m for m in everybody if m.pid in ours and m.pid != self.own]
            ours |= more

    def _is_still_ours(self, member: Member) -> bool:
        if member.state == "?":
            return member.parent == self.own
        for _ in range(3):
            fresh = up = look(member.pid)
            if fresh is None or fresh.start != member.start:
                return False
            while up and up.parent != self.own and up.parent > 1:
                up = look(up.parent)
            if up and up.parent == self.own:
                member.state = fresh.state
                return True
        return False

    def send(self, member: Member, number: int, polite: bool = False) -> int:
        """1 if the signal (and SIGCONT after a polite one) was sent, REFUSED if not permitted, 0 if it is gone."""
        try:
            fd = os.pidfd_open(member.pid)
        except ProcessLookupError:
            return 0
        except OSError:
            return self._send_by_pid(member, number, polite)
        try:
            if not self._is_still_ours(member) or member.state == "Z":
                return 0
            signal.pidfd_send_signal(fd, number)
            if polite:
                signal.pidfd_send_signal(fd, signal.SIGCONT)
            return 1
        except PermissionError:
            return REFUSED
        except OSError:
            return 0
        finally:
            os.close(fd)

    def _send_by_pid(self, member: Member, number: int, polite: bool) -> int:
        """For kernels without pidfds: an unreaped child of ours is safe all the same."""
        try:
            if member.parent != self.own or not self._is_still_ours(member) or member.state == "Z":
                return 0
            os.kill(member.pid, number)
            if polite:
                os.kill(member.pid, signal.SIGCONT)
            return 1
        except PermissionError:
            return REFUSED
        except OSError:
            return 0

    def signal_group(self, number: int) -> None:
        """Without /proc: the group of the main, which is not reaped and so can't be another's."""
        try:
            os.killpg(self.main, number)
        except OSError:
            pass  # gone, or not permitted: nothing else can be tried

    def _remember(self, member: Member) -> Member:
        known = self.met.setdefault((member.pid, member.start), member)
        known.comm = member.comm  # it may have executed something else
        known.flags |= 0 if member.session == self.main else DAEMON
        return known

    def remember_program(self) -> None:
        self.program = identity(f"{PROC}/{self.main}/exe")

    def _is_shell(self) -> bool:
        """True while the main still executes what we started (a script's argv comes after its interpreter's)."""
        exe = identity(f"{PROC}/{self.main}/exe")
        if exe is not None and exe != self.program:
            return False
        ordered = b"".join(argument + b"\0" for argument in self.orders.arguments)
        return read_file(f"{PROC}/{self.main}/cmdline").endswith(ordered)

    def ask(self, first: bool) -> None:
        """The polite stop. `first`: a new stop begins; else only whom a shell forked behind our back is asked."""
        number = self.orders.numbers["stop_signal"]
        if first:
            self.met.clear()
            self.asks_all = self.main_exited or self._is_shell()
        if self.blind and first and not self.main_reaped:
            self.signal_group(number)
            self.signal_group(signal.SIGCONT)
        living = [m for m in self.walk() if m.state != "Z"]
        living.sort(key=lambda m: m.pid != self.main)
        for found in living:
            member = self._remember(found)
            member.flags |= INITIAL if first else 0
            asks = member.flags & DAEMON or self.asks_all or member.pid == self.main
            if asks and not member.flags & ASKED:
                sent = self.send(member, number, polite=True)
                member.flags |= ASKED if sent == 1 else sent

    def note_at_kill(self) -> None:
        """From here on whoever is alive counts as one who did not leave on the stop signal."""
        for member in self.walk():
            if member.state != "Z":
                self._remember(member).flags |= AT_KILL

    def _due(self, session_only: bool) -> list[Member]:
        return [m for m in self.walk() if m.state != "Z" and (not session_only or m.session == self.main)]

    def kill(self, session_only: bool) -> None:
        """SIGSTOP until nobody runs (for a bounded time), then SIGKILL; rounds follow until nobody is left."""
        for pause in (0.001,) * 4 + (0.005,) * 8:
            running = [m for m in self._due(session_only) if m.state not in "TtDX"]
            if not sum(self.send(member, signal.SIGSTOP) == 1 for member in running):
                break
            time.sleep(pause)
        if self.blind and not self.main_reaped:
            self.signal_group(signal.SIGKILL)
        for member in self._due(session_only):
            sent = self.send(member, signal.SIGKILL)
            if not session_only:  # the end of a session is no stop and has no receipt
                self._remember(member).flags |= KILLED if sent == 1 else sent

    def count_children(self) -> int:
        """Living children besides the main, the dead ones reaped. Asked when the main has exited."""
        while True:
            if self.main_reaped:
                return reap_all()
            others = [m.pid for m in self.walk(deep=False) if m.pid != self.main and m.parent == self.own]
            reaped = [pid for pid in others if os.waitpid(pid, os.WNOHANG)[0]]
            if not reaped:
                return len(others)

    def count(self, session_only: bool) -> int:
        return sum(m.pid != self.main for m in self._due(session_only))

    def receipt(self, why: str) -> str:
        """The fields of `stopped`."""
        everybody = list(self.met.values())

        def names(flag: int) -> str:
            return ",".join([f'[{m.pid},"{m.comm}"]' for m in everybody if m.flags & flag][:NAMED])

        asked, killed = (sum(bool(m.flags & flag) for m in everybody) for flag in (ASKED, KILLED))
        left = sum(bool(m.flags & INITIAL and not m.flags & AT_KILL) for m in everybody)
        first = int(signal.SIGKILL) if why == "kill" else self.orders.numbers["stop_signal"]
        return (
            f',"why":"{why}","signal":{first},"signalled":{asked},"left":{left},"killed":[{names(KILLED)}]'
            f',"killed_count":{killed},"daemons":[{names(DAEMON)}],"refused":[{names(REFUSED)}]'
        )


def session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def reap_all() -> int:
    """0 when no child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return 0
    return 1


def usage_of_zombie(pid: int) -> tuple[int, int, int]:
    """CPU times in microseconds and peak memory in bytes of an unreaped child (and its own waited-for children)."""
    usage = (ctypes.c_long * 18)()
    call = WAITID.get(os.uname().machine) if ctypes.sizeof(ctypes.c_long) == 8 else None
    how = os.WEXITED | os.WNOWAIT | os.WNOHANG
    if call and not libc.syscall(call, os.P_PID, pid, ctypes.create_string_buffer(128), how, usage):
        return usage[0] * 10**6 + usage[1], usage[2] * 10**6 + usage[3], usage[4] * 1024
    ticks = read_file(f"{PROC}/{pid}/stat").rpartition(b") ")[2].split()[11:15]
    if len(ticks) < 4:
        return 0, 0, 0
    user, system, child_user, child_system = (int(tick) * 10**6 // os.sysconf("SC_CLK_TCK") for tick in ticks)
    return user + child_user, system + child_system, 0


def render_exit(code: int, number: int, usage: tuple[int, int, int], daemons: int) -> str:
    """The fields of `exited`."""
    user, system, peak = usage
    return (
        f',"code":{"null" if number else code},"signal":{number or "null"}'
        f',"utime":{user // 10**6}.{user % 10**6:06},"stime":{system // 10**6}.{system % 10**6:06}'
        f',"maxrss":{peak},"daemons":{daemons}'
    )


# ---- where the output goes


class Pump:
    """One stream on its way from a pipe into a file that may rotate, and to the console. Nothing is ever dropped."""

    def __init__(self, name: str, logs: Logs, file: int, size: int) -> None:
        self.name, self.logs, self.file, self.size = name, logs, file, size
        self.source = self.console = -1
        self.console_can_block = self.console_is_full = False
        self.unfiled = self.unshown = memoryview(b"")
        self.line = 0  # bytes in the file's last, unfinished line
        self.retry_at = self.retry_wait = self.rotate_at = 0.0
        self.is_shifted = False

    def attach_console(self, fd: int) -> None:
        """Our own non-blocking descriptor of fd 1 or 2 where that is possible: the owner's must stay as it is."""
        self.console = fd
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return
        try:
            self.console = os.open(f"{PROC}/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            self.console_can_block = True

    def run(self) -> bool:
        """Moves up to a burst. True when the pipe is empty (or has ended) and so is the buffer."""
        if not self._flush():
            return False
        for _ in range(BURST):
            if self.source < 0:
                return True
            try:
                data = os.read(self.source, CHUNK)
            except BlockingIOError:
                return True
            if not data:
                os.close(self.source)
                self.source = -1
                return True
            self.unfiled = memoryview(data)
            self.unshown = memoryview(data if self.console >= 0 else b"")
            if not self._flush():
                return False
            if len(data) < CHUNK:
                return True  # a short read has emptied the pipe
        return False

    def _flush(self) -> bool:
        """Empties the buffer into the sinks. False if one of them takes no more for now."""
        if not self.unfiled and not self.unshown:
            return True
        if now() < self.retry_at:
            return False
        filed, shown = self._feed_file(), self._feed_console()
        if not (filed and shown):
            return False
        self.retry_at = 0.0
        return True

    def _feed_file(self) -> bool:
        while self.unfiled:
            share, full = self._file_share()
            try:
                done = os.write(self.file, self.unfiled[:share]) if share else 0
            except OSError:
                done = -1
            if done < 0 or (share and not done):
                self.retry_wait = min(max(self.retry_wait * 2, RETRY_MIN), RETRY_MAX)
                self.retry_at = now() + self.retry_wait
                return False
            if self.logs.rotates:
                end = bytes(self.unfiled[:done]).rfind(b"\n")
                self.line = done - end - 1 if end >= 0 else self.line + done
            self.size += done
            self.unfiled = self.unfiled[done:]
            self.retry_wait = 0.0
            if full and done == share:
                self._rotate()
        return True

    def _file_share(self) -> tuple[int, bool]:
        """How many bytes belong into the present file, and whether a rotation comes after them."""
        room, count = self.logs.size - self.size, len(self.unfiled)
        if not self.logs.rotates or count <= room or now() < self.rotate_at:
            return count, False
        data = bytes(self.unfiled)
        end = data.rfind(b"\n", 0, max(0, room))
        if end < 0 and not self.line and self.size:
            return 0, True  # the line is begun in the next file
        if end < 0:
            end = data.find(b"\n")
        if end >= 0:
            return end + 1, True
        return count, self.line + count >= CHUNK

    def _rotate(self) -> None:
        """Where it fails the old file is written on, and a second later it is tried again."""
        self.rotate_at = now() + 1
        try:
            with self.logs.as_user():
                if not self.is_shifted:
                    self.logs.shift_backups(self.name)
                self.is_shifted = True  # only the new file is missing
                fd, size = self.logs.open_file(self.name)
        except OSError:
            return
        self.is_shifted = False
        self.switch_file(fd, size)

    def switch_file(self, fd: int, size: int) -> None:
        os.close(self.file)
        self.file, self.size, self.line, self.rotate_at = fd, size, 0, 0.0

    def _feed_console(self) -> bool:
        """A console that has gone is forgotten."""
        while self.unshown and self.console >= 0:
            self.console_is_full = False
            try:
                done = self._show()
            except BlockingIOError:
                self.console_is_full = True
                return False
            except OSError:
                done = 0
            if done:
                self.unshown = self.unshown[done:]
                continue
            if self.console > 2:
                os.close(self.console)
            else:
                os.dup2(0, self.console)
            self.console, self.unshown = -1, memoryview(b"")
        return True

    def _show(self) -> int:
        if self.console_can_block:
            if not select.select([], [self.console], [], 0)[1]:
                raise BlockingIOError
            return os.write(self.console, self.unshown[:4096])
        return os.write(self.console, self.unshown)


class User:
    """`with` it, files are opened with the task user's file-system ids: that user can plant links in the logs."""

    def __init__(self, orders: Orders) -> None:
        self.uid, self.gid = orders.numbers.get("uid"), orders.numbers.get("gid")
        self.groups = orders.groups
        self.changes = os.geteuid() == 0 and (self.uid is not None or self.gid is not None)
        self.own_groups = os.getgroups() if self.changes else []

    def __enter__(self) -> None:
        if self.changes:
            if self.groups is not None:
                os.setgroups(self.groups)
            if self.gid is not None:
                libc.setfsgid(ctypes.c_uint(self.gid))
            if self.uid is not None:
                libc.setfsuid(ctypes.c_uint(self.uid))

    def __exit__(self, *_: object) -> None:
        if self.changes:
            libc.setfsuid(ctypes.c_uint(os.geteuid()))
            libc.setfsgid(ctypes.c_uint(os.getegid()))
            if self.groups is not None:
                os.setgroups(self.own_groups)


class Logs:
    """Plain files, /dev/null and the console are the child's own descriptors; `both` and `rotate` are pumped."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.destination = orders.choices["destination"]
        self.rotates = orders.rotates
        self.size = orders.numbers.get("log_size", 0)
        self.backups = orders.numbers.get("log_backups", 0)
        self.pumps: list[Pump] = []
        self.directory = -1
        self.parent = -1  # where the logs of all runs are; open while there may be something to prune

    def as_user(self) -> User:
        return User(self.orders)

    def open(self) -> list[int]:
        """The child's stdout and stderr. Raises OSError."""
        if self.destination == b"none":
            return [0, 0]
        if self.destination == b"console":
            return [1, 2]
        with self.as_user():
            self.directory = self._enter()
            one = self.orders.texts.get("log_file")
            names = ["stdout", "stderr"] if one is None else [os.fsdecode(one)]
            files = [(name, *self.open_file(name)) for name in names]
        if not self.rotates and self.destination == b"file":
            os.close(self.directory)
            ends = [fd for _, fd, _ in files]
        else:
            ends = [self._prepare_pump(*file) for file in files]
        return [ends[0], ends[-1]]

    def _enter(self) -> int:
        """log_base as it is, then every component of log_dir, made if need be, without following links."""
        fd = os.open(self.orders.texts["log_base"], os.O_RDONLY | os.O_DIRECTORY)
        names = self.orders.texts["log_dir"].split(b"/")
        for i, name in enumerate(names):
            if name in (b"", b"."):
                continue
            if name == b"..":
                raise PermissionError(errno.EPERM, "no way up")
            parent, flags = fd, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            try:
                fd = os.open(name, flags, dir_fd=parent)
            except FileNotFoundError:
                try:
                    os.mkdir(name, 0o755, dir_fd=parent)
                except FileExistsError:
                    pass  # another coordinator was quicker
                fd = os.open(name, flags, dir_fd=parent)
            finally:
                if i == len(names) - 1 and self.orders.pruned:
                    self.parent = parent
                else:
                    os.close(parent)
        return fd

    def open_file(self, name: str) -> tuple[int, int]:
        """A regular file, opened for append, and its size. O_NONBLOCK is for FIFOs somebody may have planted."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
        fd = os.open(name, flags, 0o644, dir_fd=self.directory)
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "not a regular file")
        os.set_blocking(fd, True)
        return fd, found.st_size

    def _prepare_pump(self, name: str, file: int, size: int) -> int:
        pump = Pump(name, self, file, size)
        pump.source, end = os.pipe()
        os.set_blocking(pump.source, False)
        uid = self.orders.numbers.get("uid")
        if uid is not None and os.geteuid() == 0:
            os.fchown(end, uid, -1)  # so that the child can open /dev/stdout anew
        if self.destination == b"both":
            pump.attach_console(2 if name == "stderr" else 1)
        self.pumps.append(pump)
        return end

    def leave_to_child(self, ends: list[int]) -> None:
        """After the fork: only what the pumps need is kept, so that we hold nobody's terminal or pipe open."""
        for fd in set(ends):
            if fd > TASK_DIR and not self.orders.respawns:  # a kept command gets the same ones again
                os.close(fd)
        keeps_console = self.orders.respawns and self.destination == b"console"
        for fd in (1, 2):
            if not keeps_console and all(pump.console != fd for pump in self.pumps):
                os.dup2(0, fd)

    def shift_backups(self, name: str) -> None:
        """name.1 to the first gap move up by one; the last falls off. Then the file itself becomes name.1, unless
        somebody has taken it away: what is written on there nobody would ever see."""
        top = 1
        while top < self.backups and self._exists(f"{name}.{top}"):
            top += 1
        for number in range(top, 1, -1):
            os.rename(f"{name}.{number - 1}", f"{name}.{number}", src_dir_fd=self.directory, dst_dir_fd=self.directory)
        try:
            os.rename(name, f"{name}.1", src_dir_fd=self.directory, dst_dir_fd=self.directory)
        except FileNotFoundError:
            pass  # only the new file is missing

    def _exists(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.directory, follow_symlinks=False)
        except OSError:
            return False
        return True

    def prune(self) -> None:
        """Removes the logs of runs that nobody remembers any more, as the user whose they are. A directory in which
        something else lies stays; so does whatever can't be removed."""
        if self.parent < 0:
            return
        try:
            with self.as_user():
                for run in self.orders.pruned:
                    self._prune_run(str(run))
        except OSError:
            pass  # then the next run tries it again
        os.close(self.parent)
        self.parent = -1

    def _prune_run(self, name: str) -> None:
        try:
            directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self.parent)
        except OSError:
            return  # gone already, or no directory of ours
        try:
            for entry in os.listdir(directory):
                if entry.startswith(("stdout", "stderr")):
                    os.unlink(entry, dir_fd=directory)
            os.rmdir(name, dir_fd=self.parent)
        except OSError:
            pass  # something else lies there
        finally:
            os.close(directory)

    def reopen(self) -> None:
        for pump in self.pumps:
            try:
                with self.as_user():
                    fd, size = self.open_file(pump.name)
            except OSError:
                continue  # the old one is written on
            pump.switch_file(fd, size)

    def run(self) -> bool:
        """True when nothing waits in a pipe or buffer."""
        dry = [pump.run() for pump in self.pumps]
        return all(dry)

    def watch(self, poll: select.poll) -> None:
        for pump in self.pumps:
            if pump.unshown and pump.console_is_full:
                poll.register(pump.console, select.POLLOUT)
            elif not pump.unfiled and pump.source >= 0:
                poll.register(pump.source, select.POLLIN)

    def wake_at(self) -> float:
        return min((p.retry_at for p in self.pumps if p.retry_at and (p.unfiled or p.unshown)), default=NEVER)


# ---- the child


class Child:
    """The steps from fork to exec, in the contract's order; the first that fails is told over a pipe."""

    def __init__(self, orders: Orders, inherited_umask: int) -> None:
        self.orders, self.inherited_umask = orders, inherited_umask
        self.stage = "session"

    def start(self, ends: list[int]) -> tuple[int, int]:
        """(pid, the pipe that ends with exec). Raises OSError where fork fails."""
        report, end = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid:
            os.close(end)
            return pid, report
        code = errno.EIO
        try:
            self._set_up(ends)
            self._stay_with(parent)
            # a kept command lets in itself what is forwarded to it, when it is ready for it
            signal.pthread_sigmask(signal.SIG_SETMASK, FORWARDED if self.orders.respawns else [])
            os.execve(self.orders.arguments[0], self.orders.arguments, self.orders.environment)
        except OSError as error:
            code = error.errno or errno.EIO
        except (ValueError, OverflowError):  # Python refuses some values before the kernel can
            code = errno.EINVAL
        os.write(end, f"{self.stage} {code}".encode())
        os._exit(127)

    def _stay_with(self, parent: int) -> None:
        """When the coordinator is gone nothing that nobody minds is executed, or goes on."""
        if self.orders.respawns:
            return
        libc = ctypes.CDLL(None)
        if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
            os._exit(127)

    def _set_up(self, ends: list[int]) -> None:
        texts, numbers = self.orders.texts, self.orders.numbers
        os.setsid()
        if "cgroup" in texts:
            self.stage = "cgroup"
            fd = os.open(texts["cgroup"] + b"/cgroup.procs", os.O_WRONLY)
            os.write(fd, b"0")
            os.close(fd)
        self.stage = "fds"
        for number, fd in enumerate(ends, 1):
            if fd != number:
                os.dup2(fd, number)
        self.stage = "rlimits"
        for which, soft, hard in self.orders.limits:
            resource.prlimit(0, which, (soft, hard))
        os.umask(numbers.get("umask", self.inherited_umask))
        if "chroot" in texts:
            self.stage = "chroot"
            os.chroot(texts["chroot"])
            os.chdir("/")
        self._become_user(numbers.get("gid"), numbers.get("uid"))
        if "cwd" in texts:
            self.stage = "cwd"
            os.chdir(texts["cwd"])
        self.stage = "exec"

    def _become_user(self, gid: int | None, uid: int | None) -> None:
        if self.orders.groups is not None:
            self.stage = "groups"
            os.setgroups(self.orders.groups)
        if gid is not None:
            self.stage = "gid"
            os.setresgid(gid, gid, gid)
        if uid is not None:
            self.stage = "uid"
            os.setresuid(uid, uid, uid)


# ---- its life


class Life:
    """From the fork to the last record: events set wishes and flags, advance() does whatever can be done now."""

    def __init__(self, orders: Orders, inbox: Inbox, signals: int, inherited_umask: int) -> None:
        self.orders, self.inbox, self.signals = orders, inbox, signals
        self.inherited_umask = inherited_umask
        self.tree = Tree(orders)
        self.logs = Logs(orders)
        self.stop = ""  # "", ask, asking, killing, stopped
        self.why = ""
        self.report = self.owner = -1
        self.ends: list[int] = []  # what the child gets as 1 and 2, once opened
        self.stop_at = self.kill_at = self.owner_at = self.drain_until = NEVER
        self.kill_wait = KILL_MIN
        self.setup_failed = self.exited_recorded = self.lingering = self.child_changed = False
        self.daemons = 0
        self.end = (0, 0)  # exit code, signal

    # -- coming up

    def begin_run(self) -> None:
        """Queues the first record of a run."""
        me = look(self.tree.own)
        boot = read_file(f"{PROC}/sys/kernel/random/boot_id").decode().strip()
        namespace = identity(f"{PROC}/self/ns/pid")
        self.inbox.record(
            "forked",
            f',"pid":{self.tree.own},"start":{me.start if me else 0},"boot":"{boot}"'
            f',"pidns":{namespace[1] if namespace else 0}',
        )

    def record_forked(self) -> None:
        """Before anything is started. A full disk holds us here; told to stop, we end with nothing done."""
        self.begin_run()
        while not self.inbox.write():
            select.select([self.signals], [], [], max(0.0, self.inbox.write_at - now()))
            if {signal.SIGTERM, signal.SIGQUIT} & set(read_signals(self.signals)):
                give_up(UNBEGUN, "told to stop before the inbox could be written")

    def watch_owner(self) -> None:
        """By a pidfd; if the owner has gone already, that is noticed here."""
        if self.orders.choices["on_owner_death"] != b"stop" or self.orders.owner is None:
            return
        pid, start = self.orders.owner
        try:
            self.owner = os.pidfd_open(pid)
        except OSError:
            self.owner = -1
        found = look(pid)
        if self.owner < 0 or not (self.tree.blind or (found and found.start == start)):
            self._forget_owner()

    def _forget_owner(self) -> None:
        if self.owner >= 0:
            os.close(self.owner)
        self.owner = -1
        self.owner_at = now() + self.orders.numbers["owner_wait"] / 1000

    def start_main(self) -> None:
        """Opens the logs (once) and forks. A failure here is recorded and leaves tree.main at 0."""
        try:
            self.ends = self.ends or self.logs.open()
        except OSError as error:
            self.record_setup_failed("log", error.errno or errno.EIO)
            return
        try:
            self.tree.main, self.report = Child(self.orders, self.inherited_umask).start(self.ends)
        except OSError as error:
            self.record_setup_failed("fork", error.errno or errno.EIO)
            return
        self.logs.leave_to_child(self.ends)
        os.chdir("/")

    def record_setup_failed(self, stage: str, number: int) -> None:
        self.inbox.record("setup_failed", f',"stage":"{stage}","errno":{number}')

    # -- events

    def take_report(self) -> bool:
        """The child's pipe has ended. True: exec has closed it. False: a step failed; that is recorded."""
        text = os.read(self.report, 100).decode()
        os.close(self.report)
        self.report = -1
        if not text:
            return True
        stage, _, number = text.partition(" ")
        os.waitpid(self.tree.main, 0)
        self.record_setup_failed(stage, int(number))
        return False

    def record_running(self) -> None:
        found = look(self.tree.main)
        self.inbox.record("running", f',"pid":{self.tree.main},"start":{found.start if found else 0}')

    def learn_how_it_came_up(self) -> None:
        self.child_changed = True
        self.setup_failed = not self.take_report()
        if not self.setup_failed:
            self.tree.remember_program()
            self.record_running()
        self.logs.prune()

    def take_signals(self) -> None:
        for number in read_signals(self.signals):
            if number == signal.SIGTERM:
                self.begin_polite_stop("stop")
            elif number == signal.SIGQUIT:
                self.begin_kill("kill")
            elif number == signal.SIGUSR1:
                self.logs.reopen()
            else:
                self.child_changed = True

    def can_be_stopped(self) -> bool:
        """Not before there is a child, nor when only the record of its end is still to be written."""
        return bool(self.tree.main and not self.setup_failed and (not self.exited_recorded or self.daemons))

    def begin_polite_stop(self, why: str) -> None:
        if not self.stop and self.can_be_stopped():
            self.stop, self.why = "ask", why

    def begin_kill(self, why: str) -> None:
        if self.stop in ("killing", "stopped") or not self.can_be_stopped():
            return
        self.stop, self.why, self.stop_at = "killing", why, NEVER
        self.kill_at, self.kill_wait = 0.0, KILL_MIN
        self.tree.note_at_kill()

    # -- progress

    def reap(self) -> None:
        """Reaps the dead while the main lives: until its own zombie comes up, no zombie hides another one."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while not self.tree.main_exited and (found := os.waitid(os.P_ALL, 0, how)):
            if found.si_pid != self.tree.main:
                os.waitpid(found.si_pid, os.WNOHANG)
                continue
            self.tree.main_exited = True
            self.end = (found.si_status, 0) if found.si_code == os.CLD_EXITED else (-1, found.si_status)
            if self.stop == "asking":
                self.tree.ask(first=False)

    def is_nothing_left(self) -> bool:
        """Without /proc nobody can tell: the deadline decides, then one kill of the group."""
        tree = self.tree
        sure = not tree.blind or tree.main_reaped or (self.stop == "killing" and self.kill_wait > KILL_MIN)
        return tree.main_exited and sure and not tree.count_children()

    def go_on_killing(self, session_only: bool) -> None:
        """One more round if it is due. A SIGCHLD makes the next look at the tree come sooner."""
        if self.kill_at != NEVER and now() < self.kill_at:
            return
        self.tree.kill(session_only)
        self.kill_at = now() + self.kill_wait
        self.kill_wait = min(self.kill_wait * 2, KILL_MAX)

    def advance_stop(self) -> None:
        if self.stop == "ask":
            self.tree.ask(first=True)
            self.stop, self.kill_at = "asking", NEVER
            self.stop_at = now() + self.orders.numbers["stop_wait"] / 1000
        if self.stop in ("asking", "killing") and self.is_nothing_left():
            self.inbox.record("stopped", self.tree.receipt(self.why))
            self.stop, self.stop_at, self.kill_at = "stopped", NEVER, NEVER
        if self.stop == "asking" and now() >= self.stop_at:
            self.begin_kill(self.why)
        if self.stop == "killing":
            self.go_on_killing(session_only=False)

    def is_drained(self) -> bool:
        """Is what was written into the pipes in the logs? After a while that has to be good enough."""
        if self.drain_until == NEVER:
            self.drain_until = now() + DRAIN
        if not self.logs.run() and now() < self.drain_until:
            return False
        self.drain_until = NEVER
        return True

    def advance_exit(self) -> None:
        """The main has exited: the rest of its session dies, what it wrote is saved, then the exit is a record."""
        if self.stop in ("asking", "killing"):
            self.drain_until = NEVER
            return  # first everybody has to be gone
        if not self.stop and self.tree.blind:
            self.tree.signal_group(signal.SIGKILL)
        self.daemons = 0
        if not self.stop and self.tree.count_children():
            if self.tree.count(session_only=True):
                self.go_on_killing(session_only=True)
                return
            self.daemons = self.tree.count(session_only=False)
        self.kill_at = NEVER
        if self.is_drained():
            self.record_exited()

    def record_exited(self) -> None:
        usage = usage_of_zombie(self.tree.main)
        self.inbox.record("exited", render_exit(*self.end, usage, self.daemons))
        self.exited_recorded = True

    def bury_main(self) -> None:
        """`exited` is in the inbox: the zombie has done its duty. Daemons make us linger, without the lock."""
        os.waitpid(self.tree.main, 0)
        self.tree.main_reaped = True
        self.lingering = self.tree.count_children() != 0 or self.daemons > 0  # `gone` even if it has just left
        if self.lingering:
            self.inbox.unlock()

    def advance_lingering(self) -> None:
        if self.stop in ("ask", "asking", "killing") or self.tree.count_children() or not self.is_drained():
            return
        self.lingering = False
        self.inbox.record("gone")

    def advance(self) -> bool:
        """Does whatever can be done now. True when all is done."""
        recorded = self.inbox.write()
        if not self.tree.main or self.setup_failed:
            return recorded
        if self.child_changed:
            self.reap()
        self.child_changed = False
        if now() >= self.owner_at:
            self.owner_at = NEVER
            self.begin_polite_stop("owner")
        if self.can_be_stopped():
            self.advance_stop()
        if self.report >= 0:
            return False  # whether exec has worked is not known yet
        if self.tree.main_exited and not self.exited_recorded:
            self.advance_exit()
        if self.exited_recorded and not self.tree.main_reaped and self.inbox.write():
            self.bury_main()
        if self.lingering:
            self.advance_lingering()
        return self.tree.main_reaped and not self.lingering and self.inbox.write()

    def wait(self, *more: float) -> list[int]:
        """Sleeps until a descriptor or a deadline (`more` of them) wants us; the descriptors that do."""
        poll = select.poll()
        for fd in (self.signals, self.report, self.owner):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        self.logs.watch(poll)
        deadlines = (self.stop_at, self.kill_at, self.owner_at, self.drain_until, *more)
        next_at = min(*deadlines, self.inbox.write_at, self.logs.wake_at())
        ms = None if next_at == NEVER else min(max(0.0, next_at - now()) * 1000 + 1, 3600000)
        return [fd for fd, _ in poll.poll(ms)]

    def live(self) -> None:
        while not self.advance():
            ready = self.wait()
            if self.report in ready:
                self.learn_how_it_came_up()
            if self.signals in ready:
                self.take_signals()
            if self.owner in ready:
                self._forget_owner()
            self.logs.run()


# ---- a command that is kept


class Keeper:
    """A coordinator whose orders say `respawn`: forked -> running -> exited -> (back-off) -> forked -> ...

    Only the command itself is ever signalled. What it leaves behind when it is killed are the coordinators of a whole
    task: they are adopted and reaped, and the next incarnation takes them over. Signals are forwarded; one that came
    stays said, so every later incarnation gets it too. Dying of one that was forwarded is an end as wished.
    """

    def __init__(self, life: Life) -> None:
        self.life, self.inbox, self.orders = life, life.inbox, life.orders
        self.wishes: list[int] = []
        self.begin_at = self.drain_until = NEVER
        self.born_at, self.back_off = 0.0, BACK_OFF_MIN
        self.is_announced = self.has_lived = False

    def _forward(self, number: int) -> None:
        if number not in self.wishes:
            self.wishes.append(number)
        if self.life.tree.main and self.life.report < 0:
            os.kill(self.life.tree.main, number)  # unreaped, so it is nobody else's
        elif self.begin_at != NEVER:
            self.begin_at = 0.0  # no back-off for who is wanted

    def _plan_next(self, again: bool) -> None:
        """The present incarnation is over: again after a while, or never more."""
        self.life.tree.main = 0
        self.is_announced = False
        self.begin_at = NEVER
        if not again:
            return
        if now() - self.born_at >= LONG_LIFE:
            self.back_off = BACK_OFF_MIN
        self.begin_at = now() + self.back_off
        self.back_off = min(self.back_off * 2, BACK_OFF_MAX)

    def _reap(self) -> None:
        """The dead: the command, and whoever was left to us. Nobody while exec may still fail."""
        while self.life.report < 0:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.life.tree.main:
                code = os.waitstatus_to_exitcode(status)
                usage = (round(used.ru_utime * 10**6), round(used.ru_stime * 10**6), used.ru_maxrss * 1024)
                self.inbox.record("exited", render_exit(code, max(0, -code), usage, 0))
                self._plan_next(-code not in self.wishes if code < 0 else code in self.orders.respawn_codes)

    def _begin(self) -> None:
        """The first incarnation has to come up; later ones are tried again (a new version may just be installed)."""
        self.begin_at, self.born_at = NEVER, now()
        self.life.start_main()
        if not self.life.tree.main:
            self._plan_next(self.has_lived)

    def _learn_how_it_came_up(self) -> None:
        if not self.life.take_report():
            self._plan_next(self.has_lived)
            return
        self.has_lived = True
        self.life.record_running()
        for number in self.wishes:
            os.kill(self.life.tree.main, number)

    def _advance(self) -> bool:
        """Nothing begins before its `forked` is in the inbox. True when all is done."""
        self._reap()
        if not self.inbox.write() or self.life.tree.main:
            return False
        if self.begin_at != NEVER:
            if now() < self.begin_at:
                return False
            if not self.is_announced:
                self.inbox.next_run()
                self.life.begin_run()
                self.is_announced = True
            if self.inbox.write():
                self._begin()
            return False
        self.drain_until = min(self.drain_until, now() + DRAIN)
        return self.life.logs.run() or now() >= self.drain_until

    def keep(self) -> None:
        """`forked` of the first incarnation is in the inbox."""
        self._begin()
        while not self._advance():
            ready = self.life.wait(NEVER if self.life.tree.main else self.begin_at, self.drain_until)
            if self.life.report in ready:
                self._learn_how_it_came_up()
            if self.life.signals in ready:
                for number in read_signals(self.life.signals):
                    if number != signal.SIGCHLD:
                        self._forward(number)
            self.life.logs.run()


def read_signals(fd: int) -> list[int]:
    """The numbers of the signals that wait in a signalfd."""
    try:
        data = os.read(fd, 128 * 16)
    except BlockingIOError:
        return []
    return [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, len(data), 128)]


def take_over_signals(respawns: bool) -> int:
    """A signalfd for all we listen to. Dispositions are the default, for the child's sake and for waiting (SIGCHLD)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    for reserved in (32, 33):  # of the C library, which makes posix_spawn ignore them; all zero is SIG_DFL
        libc.syscall(RT_SIGACTION.get(os.uname().machine, -1), reserved, ctypes.create_string_buffer(128), None, 8)
    bits = ctypes.sizeof(ctypes.c_ulong) * 8
    mask = (ctypes.c_ulong * (1024 // bits))()
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGCHLD, *(FORWARDED if respawns else ())):
        mask[(number - 1) // bits] |= 1 << (number - 1) % bits
    fd = int(libc.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK))
    if fd < 0 or libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        give_up(BROKEN, f"cannot listen for signals and adopt children: {os.strerror(ctypes.get_errno())}")
    return fd


def tidy_descriptors() -> None:
    """0 becomes /dev/null, 3 stays for us alone, the rest is closed."""
    try:
        os.closerange(4, 1 << 16)
        null = os.open("/dev/null", os.O_RDWR)
        while null <= 2:  # 1 or 2 were closed
            os.set_inheritable(null, True)
            null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 0)
        os.set_inheritable(TASK_DIR, False)
        os.close(null)
    except OSError as error:
        give_up(BROKEN, f"cannot open /dev/null, or fd 3 is no directory: {error.strerror}")


def main() -> int:
    orders = Orders(read_orders())
    tidy_descriptors()
    if os.getsid(0) != os.getpid():
        os.setsid()
    libc.prctl(PR_SET_NAME, b"thermos-keeper" if orders.respawns else b"thermos-coordinator")  # for ps and pgrep
    signals = take_over_signals(orders.respawns)
    inherited_umask = os.umask(0o022)
    inbox = Inbox(orders)
    inbox.open()
    life = Life(orders, inbox, signals, inherited_umask)
    if orders.problem:
        life.record_setup_failed(orders.problem, errno.ENOTSUP if orders.problem == "unsupported" else errno.EINVAL)
    else:
        life.record_forked()
        if orders.respawns:
            Keeper(life).keep()
            return DONE
        life.watch_owner()
        life.start_main()
        if not life.tree.main:
            life.logs.prune()
    life.live()
    return DONE


if __name__ == "__main__":
    sys.exit(main())
