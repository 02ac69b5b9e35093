"""One soaked task under its keeper: starting it, looking at it from outside, ending it."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.processes import KERNEL, kill_verified
from tests.soak.cast import make_task
from tests.soak.drive import DEEDS
from thermos.host.keeper import INBOX, Kept, read_kept, start_keeper
from thermos.host.kernel import Stat
from thermos.model import encode_task
from thermos.monitor.follow import Follower
from thermos.paths import TaskPaths, log_dir

REPO = Path(__file__).parents[2]
PATIENCE = 60.0


@dataclass(frozen=True)
class Figures:
    """What is bounded, at one moment."""

    runs: int
    compactions: int
    renewals: int
    rss: int  # bytes; of the runner
    fds: int  # of the runner, but those that watch a coordinator
    watches: int  # these
    files: int  # in the checkpoint
    bytes: int
    directories: int  # of runs, below .logs
    log_files: int
    log_bytes: int
    coordinators: int
    lingering: int  # of them

    def __str__(self) -> str:
        return (
            f"runs {self.runs}, compactions {self.compactions}, renewals {self.renewals}, rss {self.rss >> 10} KiB, "
            f"fds {self.fds}+{self.watches}, checkpoint {self.files} files {self.bytes >> 10} KiB, logs "
            f"{self.directories} dirs {self.log_files} files {self.log_bytes >> 10} KiB, "
            f"coordinators {self.coordinators} (lingering {self.lingering})"
        )


class KeptTask:
    """A task, its keeper (a child of ours), and a reader of its records that follows it from the beginning."""

    def __init__(self, place: Path, task_id: str) -> None:
        self.task_id = task_id
        self.place = place / task_id
        self.place.mkdir()
        self.paths = TaskPaths(place / "root", task_id)
        self.log = self.place / "runner.log"
        self._keepers_label = f"\0{task_id}/{INBOX}/".encode()
        self.spec = make_task(task_id)
        (self.place / "spec").write_bytes(encode_task(self.spec))
        self.start()
        self._await_owner()
        self.follower = Follower(self.paths, KERNEL)

    # its keeper -----------------------------------------------------------------------------------------------------
    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.soak.drive", str(self.paths.root), self.task_id, str(self.place)]
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        self.keeper = start_keeper(self.paths.checkpoint, argv, env, REPO, self.log)
        self.keeper_fd = os.pidfd_open(self.keeper)

    def _await_owner(self) -> None:
        """Until the first runner has begun the task."""
        deadline = time.monotonic() + PATIENCE
        while "owned" not in self.deeds():
            assert time.monotonic() < deadline, self.said()
            assert not select.select([self.keeper_fd], [], [], 0.02)[0], self.said()

    def kept(self) -> Kept:
        kept = read_kept(self.paths.checkpoint, KERNEL)
        assert kept is not None
        return kept

    def kill_keeper(self) -> None:
        signal.pidfd_send_signal(self.keeper_fd, signal.SIGKILL)
        self.reap_keeper()

    def reap_keeper(self) -> int:
        """Until it has ended; its exit code."""
        assert select.select([self.keeper_fd], [], [], PATIENCE)[0], f"the keeper does not end: {self.said()}"
        os.close(self.keeper_fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.keeper, 0)[1])

    def kill_runners(self) -> None:
        """The one that owns the task, and one that was about to; nobody starts another meanwhile."""
        for pid in KERNEL.proc_pids():
            words = _words(pid)
            mine = b"tests.soak.drive" in words and self.task_id.encode() in words
            status = KERNEL.proc_stat(pid) if mine or self._keepers_label in words else None
            if status is not None and pid != self.keeper:
                kill_verified(pid, status.start)

    # looking --------------------------------------------------------------------------------------------------------
    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def deeds(self) -> Counter[str]:
        path = self.place / "deeds"
        letters = path.read_text() if path.exists() else ""
        return Counter({name: letters.count(letter) for letter, name in DEEDS.items() if letter in letters})

    def runner(self) -> int:
        """The pid of the owner, 0 when there is none."""
        self.follower.read()
        owner = self.follower.task.owner
        status = KERNEL.proc_stat(owner.pid) if owner else None
        return owner.pid if owner and status and status.start == owner.start and status.state not in "ZX" else 0

    def coordinators(self) -> list[Stat]:
        """All that live, by their label."""
        label = f"\0{self.task_id}/".encode()
        found = []
        for pid in KERNEL.proc_pids():
            words = _words(pid)
            status = KERNEL.proc_stat(pid) if label in words and self._keepers_label not in words else None
            if status is not None and status.state not in "ZX":
                found.append(status)
        return found

    def members(self) -> list[tuple[Stat, str]]:
        """Living processes that carry the marker of one of our runs, and its nonce."""
        marker = f"THERMOS_RUN={self.task_id}-".encode()
        found = []
        for pid in KERNEL.proc_pids():
            nonces = [v[12:].decode() for v in KERNEL.proc_environ(pid).split(b"\0") if v.startswith(marker)]
            status = KERNEL.proc_stat(pid) if nonces else None
            if status is not None and status.state not in "ZX":
                found.append((status, nonces[0]))
        return found

    def zombies(self) -> set[tuple[int, int]]:
        """Dead children of the runner and of the keeper that nobody has reaped."""
        parents = {self.runner(), self.keeper} - {0}
        everybody = [status for pid in KERNEL.proc_pids() if (status := KERNEL.proc_stat(pid)) is not None]
        return {(s.pid, s.start) for s in everybody if s.state == "Z" and s.ppid in parents}

    def strays(self) -> set[tuple[int, int]]:
        """Processes of runs of which, by the records, nothing lives."""
        members = self.members()
        self.follower.read()
        task = self.follower.task
        living = set()
        for name, process in task.processes.items():
            numbers = [*task.unsettled.get(name, ()), *([task.active[name]] if name in task.active else [])]
            living |= {process.runs[number].nonce for number in numbers}
        return {(status.pid, status.start) for status, nonce in members if nonce not in living}

    def strangers(self) -> set[tuple[int, int]]:
        """Coordinators that the records don't know as living."""
        coordinators = self.coordinators()
        self.follower.read()
        task = self.follower.task
        known = {run.coordinator for p in task.processes.values() for run in p.runs.values() if not run.settled}
        return {(status.pid, status.start) for status in coordinators if status.pid not in known}

    def totals(self) -> dict[str, int]:
        self.follower.read()
        return {name: process.total for name, process in self.follower.task.processes.items()}

    def measure(self) -> Figures:
        deeds, runner = self.deeds(), self.runner()
        assert runner, f"{self.task_id}: nobody owns it: {self.said()}"
        looks = [_descriptors(runner) for _ in range(20)]
        targets = min(looks, key=lambda look: sum("pidfd" not in target for target in look))  # a file is open for now
        rss = int(Path(f"/proc/{runner}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        checkpoint, logs = _paths(self.paths.checkpoint), _walk(log_dir(self.place))
        sizes = [size for _, size in logs]
        task = self.follower.task
        return Figures(
            runs=sum(self.totals().values()),
            compactions=deeds["compactions"],
            renewals=deeds["inboxes renewed"],
            rss=rss,
            fds=sum("pidfd" not in target for target in targets),
            watches=sum("pidfd" in target for target in targets),
            files=len(checkpoint),
            bytes=sum(_size(path) for path in checkpoint),
            directories=len({path.parent for path, _ in logs}),
            log_files=len(logs),
            log_bytes=sum(sizes),
            coordinators=len(self.coordinators()),
            lingering=sum(map(len, task.unsettled.values())),
        )

    def close(self) -> None:
        """Whatever a failed test left."""
        for _ in range(50):
            left = [*self.coordinators(), *(status for status, _ in self.members())]
            kept = self.kept()
            if kept.alive:
                os.kill(self.keeper, signal.SIGKILL)
            self.kill_runners()
            for status in left:
                kill_verified(status.pid, status.start)
            if not left and not kept.alive:
                break
        self.follower.close()


def _words(pid: int) -> bytes:
    """argv, each word ended by NUL; b"" for zombies and those that have gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _paths(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _descriptors(pid: int) -> list[str]:
    """What each descriptor of a process stands for."""
    targets = []
    for path in _paths(Path(f"/proc/{pid}/fd")):
        try:
            targets.append(str(path.readlink()))
        except FileNotFoundError:
            continue  # closed just now
    return targets


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0  # rotated or replaced meanwhile


def _walk(directory: Path) -> list[tuple[Path, int]]:
    """(file, size) of everything below."""
    return [(Path(at, name), _size(Path(at, name))) for at, _, names in os.walk(directory) for name in names]
