"""The soak: two tasks of twenty daemons each, without a pause between runs, disturbed at random for a minute.

Everything may happen to the *mortal* task: its runner and keeper die again and again. The *lasting* one has the same
runner throughout, so that what it holds (memory, descriptors) can be compared. The bounds of files and of the fold are
lowered (`drive.py`), so that the minute sees hundreds of compactions and renewals, as a year would.

SOAK_SECONDS and SOAK_SEED make it longer and different. With `-s` it tells its figures.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

import thermos.core.fold
from tests.e2e.harness import read_records
from tests.soak import drive
from tests.soak.adversary import Adversary
from tests.soak.cast import BACKUPS, BUSY, COMMANDS, LOG_SIZE, LOUD
from tests.soak.kept import Figures, KeptTask
from thermos.core.fold import KEEP_FORGOTTEN, TaskRecord, replay
from thermos.core.records import Exited
from thermos.core.states import TaskState
from thermos.errors import Exit
from thermos.host.keeper import INBOX

SECONDS = float(os.environ.get("SOAK_SECONDS", "25"))
SEED = int(os.environ.get("SOAK_SEED", "3"))

#: Seconds between two acts, at most.
PACE = 0.1

#: The first of these is the end of the warm-up.
QUARTERS = 4

#: Runs of a process whose logs may be there: those of the fold, those to be removed next, some that are just begun.
RUNS_ON_DISK = 3 * drive.KEEP_RUNS + KEEP_FORGOTTEN + 4

#: An inbox may be so many times longer while daemons linger, whose coordinators have it open.
LINGERING = 4

#: Bytes that the records of one run take, at most, in an inbox.
RUN_BYTES = 2048

#: Files of a checkpoint beside the inboxes: runner, runner.new, wake, keeper.
OTHER_FILES = 4

#: What passes (a child that is about to be reaped, a coordinator on its way out) has passed after so long.
SETTLING = 30.0

#: On a busy machine the last quarter is longer, until everything has been done that is to be done.
EXTENSION = 120.0


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[KeptTask, KeptTask]]:
    """The mortal task and the lasting one."""
    monkeypatch.setattr(thermos.core.fold, "KEEP_RUNS", drive.KEEP_RUNS)
    begun: list[KeptTask] = []
    try:
        for name in ("mortal", "lasting"):
            begun.append(KeptTask(tmp_path, f"{name}{os.getpid()}"))
        yield begun[0], begun[1]
    finally:
        for task in begun:
            task.close()


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + EXTENSION + 240)
def test_nothing_grows_and_nothing_goes_wrong(tasks: tuple[KeptTask, KeptTask]) -> None:
    mortal, lasting = tasks
    adversary = Adversary(SEED)
    quarters: list[tuple[Figures, Figures]] = []
    totals = [Counter(task.totals()) for task in tasks]
    owner = lasting.runner()
    for quarter in range(QUARTERS):
        disturb(adversary, mortal, lasting, SECONDS / QUARTERS)
        if quarter == QUARTERS - 1:
            finish_disturbing(adversary, mortal, lasting)
        quarters.append((look_over(mortal), look_over(lasting)))
        assert lasting.runner() == owner, f"its runner is another: {lasting.said()}"
        for task, before in zip(tasks, totals, strict=True):
            check_progress(task, before)
        print(f"\nquarter {quarter + 1}\n  mortal  {quarters[-1][0]}\n  lasting {quarters[-1][1]}")
    print(f"faults: {dict(adversary.done)}\ndeeds: {[dict(task.deeds()) for task in tasks]}")
    check_growth([figures for _, figures in quarters])
    assert lasting.deeds()["owned"] == 1
    for task in tasks:
        check_end(task)


def disturb(adversary: Adversary, mortal: KeptTask, lasting: KeptTask, seconds: float) -> None:
    """Act after act; nobody is asleep at the end."""
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        task = adversary.random.choice((mortal, lasting))
        adversary.act(task, mortal=task is mortal)
        pause = adversary.random.uniform(0, PACE)
        while (left := now + pause - time.monotonic()) > 0:
            ended = select.select([mortal.keeper_fd, lasting.keeper_fd], [], [], left)[0]
            assert not ended, f"a keeper has ended:\n{mortal.said()}\n{lasting.said()}"
    adversary.wake_all()


def finish_disturbing(adversary: Adversary, mortal: KeptTask, lasting: KeptTask) -> None:
    """Until everything was done to them, and by them, that is to be looked at."""
    deadline = time.monotonic() + EXTENSION
    while missing := what_is_missing(adversary.done, mortal, lasting):
        assert time.monotonic() < deadline, missing
        disturb(adversary, mortal, lasting, 1.0)


def look_over(task: KeptTask) -> Figures:
    """Whoever should not be there may be there for a moment only; the figures keep their bounds."""
    wait_until(task, lambda: bool(task.runner()), lambda: "no owner")
    check_passing(task, task.zombies, "zombies")
    check_passing(task, task.strangers, "coordinators without a run")
    check_passing(task, task.strays, "processes without a run")
    figures = task.measure()
    assert figures.watches <= figures.coordinators + len(COMMANDS), figures
    assert figures.files <= len(COMMANDS) + OTHER_FILES, os.listdir(task.paths.checkpoint)  # noqa: PTH208
    check_checkpoint(task)
    check_logs(task)
    return figures


def wait_until(task: KeptTask, look: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    """Looking again after each moment in which the keeper has not ended."""
    deadline = time.monotonic() + 40
    while not look():
        assert time.monotonic() < deadline, f"{task.task_id}: {otherwise()}: {task.said()}"
        assert not select.select([task.keeper_fd], [], [], 0.05)[0], task.said()


def check_passing(task: KeptTask, look: Callable[[], set[tuple[int, int]]], what: str) -> None:
    """None of those who are there now stays."""
    left = look()
    deadline = time.monotonic() + SETTLING
    while left:
        assert time.monotonic() < deadline, (task.task_id, what, left, [_command(pid) for pid, _ in left])
        select.select([task.keeper_fd], [], [], 0.1)
        left &= look()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "gone"


def check_checkpoint(task: KeptTask) -> None:
    """A `runner` file is at most doubled before it is compacted; an inbox begins anew."""
    snapshot = 2 * len(COMMANDS) * 3 * drive.KEEP_RUNS * RUN_BYTES
    assert task.paths.runner.stat().st_size < max(drive.MAX_RUNNER_FILE, snapshot)
    for name in COMMANDS:
        inbox = task.paths.inbox(name)
        assert not inbox.exists() or inbox.stat().st_size <= LINGERING * drive.MAX_INBOX_FILE + 4 * RUN_BYTES, (
            name,
            inbox.stat(),
        )


def check_logs(task: KeptTask) -> None:
    for name in COMMANDS:
        runs = list((task.place / ".logs" / name).iterdir())
        assert len(runs) <= RUNS_ON_DISK, (name, len(runs), sorted(int(run.name) for run in runs))
        biggest = LOUD if name == "loud" else LOG_SIZE + 128
        for run in runs:
            try:
                files = [(path.name, path.stat().st_size) for path in run.iterdir()]
            except FileNotFoundError:
                continue  # pruned, or rotated, just now
            assert len(files) <= 2 * (1 + BACKUPS), (run, files)
            assert all(size <= biggest for _, size in files), (run, files)


def check_progress(task: KeptTask, before: Counter[str]) -> None:
    def stuck() -> list[str]:
        totals = task.totals()
        return [name for name in BUSY if totals.get(name, 0) <= before[name]]

    wait_until(
        task,
        lambda: not stuck(),
        lambda: [(name, task.follower.task.processes[name].last) for name in stuck()],
    )
    assert set(task.totals()) == set(COMMANDS)
    before.clear()
    before.update(task.totals())


def check_growth(figures: list[Figures]) -> None:
    """One runner all the time."""
    first, last = figures[0], figures[-1]
    assert last.rss <= first.rss * 1.1 + (1 << 20), [each.rss for each in figures]
    assert last.fds <= first.fds + 2, (
        figures
    )  # one may be open while it is looked at; a leak shows in thousands of runs
    assert last.bytes <= 2 * first.bytes + drive.MAX_RUNNER_FILE, figures


def what_is_missing(done: Counter[str], mortal: KeptTask, lasting: KeptTask) -> list[object]:
    """Of all that can be done to them, and of what they do that is to be looked at."""
    scarce = max(1, int(SECONDS / 30))
    missing: list[object] = []
    for name, least in {
        "kill_main": 5, "kill_coordinator": 5, "stop_coordinator_politely": 2, "wish_restart": 5,
        "wish_many_restarts": 1, "freeze_main": 1, "freeze_coordinator": 1, "freeze_runner": 1, "write_garbage": 3,
        "reopen_logs": 2, "rename_log": 1, "delete_log": 1, "kill_runner": 2, "kill_keeper": 1, "kill_all": 1,
        "coordinators killed with all": 5,
    }.items():  # fmt: skip
        missing += [(name, done[name])] if done[name] < least * scarce else []
    for task in (mortal, lasting):
        deeds, known = task.deeds(), task.follower.task.processes.values()
        if deeds["compactions"] < SECONDS / 20 or deeds["inboxes renewed"] < SECONDS / 3:
            missing.append(deeds)
        if (begun := sum(process.total for process in known)) <= 15 * SECONDS:
            missing.append(("runs", begun))
        for counter in ("successes", "failures", "kills", "losses", "restarts"):
            missing += [] if sum(getattr(process, counter) for process in known) else [counter]
    if (owned := mortal.deeds()["owned"]) <= 3 * scarce:
        missing.append(("owned", owned))
    return missing


def check_end(task: KeptTask) -> None:
    """A polite stop: nothing is alive, the records say what their last owner believed, no run was executed twice."""
    signal.pidfd_send_signal(task.keeper_fd, signal.SIGTERM)
    assert task.reap_keeper() == 0
    exits = [r.code for r in read_records(task.paths.checkpoint / INBOX) if isinstance(r, Exited)]
    assert exits[-1] == Exit.KILLED and set(exits[:-1]) <= {None}, exits
    assert "Traceback" not in task.said()
    alive = {(status.pid, status.start) for status, _ in task.members()}
    assert not alive, [_command(pid) for pid, _ in alive]
    check_passing(task, lambda: {(status.pid, status.start) for status in task.coordinators()}, "coordinators")
    task.follower.read()
    on_disk = replay(read_records(task.paths.runner))
    assert on_disk.state is TaskState.KILLED and not on_disk.active
    belief = msgspec.json.decode((task.place / "belief").read_bytes(), type=TaskRecord)
    assert on_disk == belief
    assert task.follower.task == belief
    # A reader that is behind may look at a renewed inbox from an offset of the old one, and call that line bad.
    assert not [damage for damage in task.follower.damage if damage.file == "runner"]
    check_marks(task, on_disk)


def check_marks(task: KeptTask, view: TaskRecord) -> None:
    """Each run number was executed once at most: by its nonce, and by the label of the coordinator."""
    nonces: Counter[str] = Counter()
    labels: Counter[tuple[str, int]] = Counter()
    for line in (task.place / "marks").read_text().splitlines():
        nonce, _, label = line.partition(" ")
        nonces[nonce] += 1
        owner, process, run = ([*label.split("/"), "", ""])[:3]
        if owner == task.task_id and process in COMMANDS:
            labels[process, int(run)] += 1
    assert max(nonces.values()) == 1, [nonce for nonce, times in nonces.items() if times > 1]
    assert max(labels.values()) == 1, [label for label, times in labels.items() if times > 1]
    assert all(run < view.processes[process].total for process, run in labels)
    executed, begun = len(nonces), sum(process.total for process in view.processes.values())
    assert 0.5 * begun < executed <= begun, (executed, begun)
