"""Who disturbs soaked tasks: at random, by a seed, and counting what was really done.

Only what belongs to a task is touched: every pid comes from its records and is held by a pidfd and looked at again
before it gets a signal.
"""

from __future__ import annotations

import errno
import heapq
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from tests.e2e.processes import KERNEL
from tests.soak.cast import COMMANDS
from tests.soak.kept import KeptTask
from thermos.core.fold import Run
from thermos.core.states import ProcessState
from thermos.paths import log_dir

#: Bytes that nobody should write into the FIFO; no line of them asks for the end of the task.
GARBAGE = (
    b"\n\n\n", b"garbage\n", b"\xff\xfe\x00\n", b"999999999\n", b"-1\n", b"no line end", b"!\n", b"!restart\n",
    b"!restart 99\n", b"!restart -1\n", b"!stuck 3\n", b"!nothing 1\n", b"!kil politely\n", b"7" * 4000 + b"\n",
    b"0\n" * 2000, b"!restart \xc3\xa9\n",
)  # fmt: skip

#: A runner that died more often is not waited for: its keeper's back-off has grown.
DEATHS = 3


class Adversary:
    """`act` does one thing to one task. A mortal task is one whose runner and keeper may be killed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self._asleep: list[tuple[float, int, int]] = []  # (when to wake it up, pid, start)
        acts: dict[Callable[[KeptTask], bool], int] = {
            self.kill_main: 6,
            self.kill_coordinator: 5,
            self.stop_coordinator_politely: 2,
            self.wish_restart: 6,
            self.wish_many_restarts: 2,
            self.freeze_main: 2,
            self.freeze_coordinator: 2,
            self.freeze_runner: 1,
            self.write_garbage: 3,
            self.reopen_logs: 3,
            self.rename_log: 3,
            self.delete_log: 2,
        }
        mortal: dict[Callable[[KeptTask], bool], int] = {self.kill_runner: 2, self.kill_keeper: 1, self.kill_all: 1}
        self._acts = {False: acts, True: acts | mortal}

    def act(self, task: KeptTask, *, mortal: bool) -> None:
        acts = self._acts[mortal]
        (chosen,) = self.random.choices(list(acts), list(acts.values()))
        task.follower.read()
        if chosen(task):
            self.done[chosen.__name__] += 1
        self.wake_due(time.monotonic())

    def wake_due(self, now: float) -> None:
        while self._asleep and self._asleep[0][0] <= now:
            _, pid, start = heapq.heappop(self._asleep)
            _signal(pid, start, signal.SIGCONT)

    def wake_all(self) -> None:
        self.wake_due(float("inf"))

    # processes and coordinators -------------------------------------------------------------------------------------
    def _some_run(self, task: KeptTask) -> Run | None:
        """A run that goes on now."""
        known = task.follower.task
        runs = [run for name, number in known.active.items() if (run := known.run(name, number)) and run.coordinator]
        lingering = [run for n, runs in known.unsettled.items() for i in runs if (run := known.run(n, i))]
        return self.random.choice(runs + lingering) if runs else None

    def _signal_main(self, task: KeptTask, signum: signal.Signals) -> tuple[int, int] | None:
        run = self._some_run(task)
        hit = run is not None and run.state is ProcessState.RUNNING and _signal(run.pid, run.pid_start, signum)
        return (run.pid, run.pid_start) if run is not None and hit else None

    def _signal_coordinator(self, task: KeptTask, signum: signal.Signals) -> tuple[int, int] | None:
        run = self._some_run(task)
        hit = run is not None and _signal(run.coordinator, run.coordinator_start, signum)
        return (run.coordinator, run.coordinator_start) if run is not None and hit else None

    def kill_main(self, task: KeptTask) -> bool:
        return self._signal_main(task, signal.SIGKILL) is not None

    def kill_coordinator(self, task: KeptTask) -> bool:
        return self._signal_coordinator(task, signal.SIGKILL) is not None

    def stop_coordinator_politely(self, task: KeptTask) -> bool:
        return self._signal_coordinator(task, signal.SIGTERM) is not None

    def reopen_logs(self, task: KeptTask) -> bool:
        return self._signal_coordinator(task, signal.SIGUSR1) is not None

    def _freeze(self, who: tuple[int, int] | None) -> bool:
        if who is None:
            return False
        heapq.heappush(self._asleep, (time.monotonic() + self.random.uniform(0.05, 0.8), *who))
        return True

    def freeze_main(self, task: KeptTask) -> bool:
        return self._freeze(self._signal_main(task, signal.SIGSTOP))

    def freeze_coordinator(self, task: KeptTask) -> bool:
        return self._freeze(self._signal_coordinator(task, signal.SIGSTOP))

    def freeze_runner(self, task: KeptTask) -> bool:
        owner = task.follower.task.owner
        hit = owner is not None and _signal(owner.pid, owner.start, signal.SIGSTOP)
        return self._freeze((owner.pid, owner.start) if owner is not None and hit else None)

    # the FIFO -------------------------------------------------------------------------------------------------------
    def _write(self, task: KeptTask, data: bytes) -> bool:
        try:
            fd = os.open(task.paths.checkpoint / "wake", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            assert error.errno == errno.ENXIO, error  # nobody has it open
            return False
        try:
            return os.write(fd, data) == len(data)
        except (BlockingIOError, BrokenPipeError):
            return False  # full: its reader is frozen; or it has just died
        finally:
            os.close(fd)

    def write_garbage(self, task: KeptTask) -> bool:
        return self._write(task, self.random.choice(GARBAGE))

    def wish_restart(self, task: KeptTask) -> bool:
        return self._write(task, b"\n!restart %d\n" % self.random.randrange(len(COMMANDS)))

    def wish_many_restarts(self, task: KeptTask) -> bool:
        numbers = self.random.choices(range(len(COMMANDS)), k=30)
        return self._write(task, b"\n" + b"".join(b"!restart %d\n" % number for number in numbers))

    # logs -----------------------------------------------------------------------------------------------------------
    def rename_log(self, task: KeptTask) -> bool:
        """As logrotate does: away with it, and the coordinator is told."""
        run = self._some_run(task)
        log = self._log_of(task, run)
        try:
            os.rename(log, f"{log}.1")  # noqa: PTH104 - a word, not a path that we keep
        except FileNotFoundError:
            return False
        return run is not None and _signal(run.coordinator, run.coordinator_start, signal.SIGUSR1)

    def delete_log(self, task: KeptTask) -> bool:
        try:
            os.unlink(self._log_of(task, self._some_run(task)))  # noqa: PTH108
        except FileNotFoundError:
            return False
        return True

    def _log_of(self, task: KeptTask, run: Run | None) -> str:
        name = self.random.choice(("stdout", "stderr"))
        return f"{log_dir(task.place)}/{run.process}/{run.number}/{name}" if run is not None else "/nowhere"

    # runners and keepers --------------------------------------------------------------------------------------------
    def kill_runner(self, task: KeptTask) -> bool:
        kept = task.kept()
        status = KERNEL.proc_stat(kept.runner) if kept.runner else None
        if status is None or status.ppid != task.keeper:
            return False
        if kept.deaths >= DEATHS:
            return self._begin_anew(task)
        return _signal(status.pid, status.start, signal.SIGKILL)

    def kill_keeper(self, task: KeptTask) -> bool:
        """The runner goes on without one, and is killed in its turn; a new keeper starts the next."""
        return self._begin_anew(task)

    def _begin_anew(self, task: KeptTask) -> bool:
        task.kill_keeper()
        task.kill_runners()
        task.start()
        return True

    def kill_all(self, task: KeptTask) -> bool:
        """Everybody who minds anything, at the same time; what they have started lives on."""
        task.kill_keeper()
        for status in task.coordinators():
            self.done["coordinators killed with all"] += _signal(status.pid, status.start, signal.SIGKILL)
        task.kill_runners()
        task.start()
        return True


def _signal(pid: int, start: int, signum: signal.Signals) -> bool:
    """If that pid is still that process."""
    if not pid:
        return False
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        status = KERNEL.proc_stat(pid)
        if status is None or status.start != start or status.state in "ZX":
            return False
        signal.pidfd_send_signal(fd, signum)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True
