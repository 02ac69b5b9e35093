"""The fold: records in, the state of a task out. One fold serves runner, recovery, CLI and observer.

A TaskRecord is only ever changed by `fold`. Memory is bounded: counters cover all runs of a process, details are kept
of the last `KEEP_RUNS` of them (failed ones longer) and of those that are not settled.

A run is *settled* when it is terminal and nothing of it lives on (no lingering daemons).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec import Struct, structs

from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Gone,
    Header,
    Lost,
    Owner,
    Released,
    Request,
    Restart,
    Running,
    RunRecord,
    SetupFailed,
    Snapshot,
    Starting,
    Stopped,
    TaskStatus,
)
from thermos.core.states import (
    TERMINAL_RUN,
    TERMINAL_TASK,
    Outcome,
    ProcessState,
    RunEvent,
    TaskState,
    step_run,
    step_task,
)

#: Runs of a process whose details are kept; failed ones among the last three times as many.
KEEP_RUNS = 100

#: So many of the runs that were forgotten last are remembered by number: their logs are to be removed.
KEEP_FORGOTTEN = 8


class Run(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt of a process. Times are wall seconds unless they end in _mono."""

    process: str
    number: int
    nonce: str
    offset: int  # of the inbox, where this run's records begin
    seq: int = -1  # last coordinator record that the fold has seen
    state: ProcessState = ProcessState.WAITING
    starting_at: float = 0.0
    forked_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    ended_mono: float = 0.0
    coordinator: int = 0
    coordinator_start: int = 0
    boot: str = ""
    pidns: int = 0
    pid: int = 0
    pid_start: int = 0
    code: int | None = None
    signal: int | None = None
    utime: float = 0.0
    stime: float = 0.0
    maxrss: int = 0
    stage: str = ""
    errno: int = 0
    detail: str = ""  # of a failed set-up, or why it is LOST
    receipt: Stopped | None = None
    lost: Lost | None = None
    daemons: int = 0
    gone: bool = False
    damaged: bool = False  # a record of this run is missing
    restart: bool = False  # somebody asked for the next one

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL_RUN

    @property
    def settled(self) -> bool:
        return self.state in TERMINAL_RUN and (self.gone or not self.daemons)


class ProcessRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All that is known of a process: totals over every run, and the runs whose details are kept (by number)."""

    name: str
    total: int = 0  # runs begun
    successes: int = 0
    failures: int = 0
    kills: int = 0
    losses: int = 0
    restarts: int = 0  # runs that ended because somebody asked for it, however they ended
    runs: dict[int, Run] = {}
    forgotten: list[int] = []  # the last few runs whose details were dropped

    @property
    def last(self) -> Run | None:
        return self.runs[self.total - 1] if self.total else None

    @property
    def ended(self) -> int:
        return self.successes + self.failures + self.kills + self.losses + self.restarts


class TaskRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of a task, as the records tell it."""

    header: Header | None = None
    owner: Owner | None = None
    released: bool = False
    state: TaskState | None = None
    reason: str = ""
    history: list[TaskStatus] = []
    request: Request | None = None
    request_pending: bool = False  # no status record has taken it into account yet
    stop_deadline: float = 0.0
    deadline: float = 0.0
    processes: dict[str, ProcessRecord] = {}
    active: dict[str, int] = {}  # process -> number of its run that is not terminal
    restarting: dict[str, int] = {}  # process -> active run that shall make way for the next
    unsettled: dict[str, list[int]] = {}  # process -> runs that are terminal but linger
    complete_since: float = 0.0  # history before this wall time was cut

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL_TASK

    def run(self, process: str, number: int) -> Run | None:
        known = self.processes.get(process)
        return known.runs.get(number) if known else None


class Applied(Struct, frozen=True):
    """What a record did: its outcome, and the run it was about."""

    outcome: Outcome
    run: Run | None = None


_COUNTERS = {
    ProcessState.SUCCESS: "successes",
    ProcessState.FAILED: "failures",
    ProcessState.KILLED: "kills",
    ProcessState.LOST: "losses",
}


def replay(records: Iterable[AnyRecord]) -> TaskRecord:
    task = TaskRecord()
    for record in records:
        task = fold(task, record)[0]
    return task


def fold(task: TaskRecord, record: AnyRecord) -> tuple[TaskRecord, Applied]:
    """Apply one record. `task` is changed in place and returned (a snapshot replaces it)."""
    match record:
        case Starting():
            return task, _fold_starting(task, record)
        case Forked() | Running() | SetupFailed() | Stopped() | Exited() | Gone() | Lost():
            return task, _fold_run(task, record)
        case TaskStatus():
            return task, _fold_status(task, record)
        case Header():
            return task, _fold_header(task, record)
        case Owner():
            task.owner, task.released = record, False
            return task, Applied(Outcome.CHANGED)
        case Released():
            task.released = True
            return task, Applied(Outcome.CHANGED)
        case Request():
            return task, _fold_request(task, record)
        case Restart():
            return task, _fold_restart(task, record)
        case Snapshot():
            return msgspec.convert(record.state, TaskRecord, str_keys=True), Applied(Outcome.CHANGED)
        case _:
            assert_never(record)


def take_snapshot(task: TaskRecord, at: float, mono: float, complete_since: float) -> Snapshot:
    """The whole fold as one record."""
    task.complete_since = complete_since
    return Snapshot(at=at, mono=mono, complete_since=complete_since, state=msgspec.to_builtins(task))


def _fold_header(task: TaskRecord, record: Header) -> Applied:
    if task.header is None:
        task.header = record
        return Applied(Outcome.CHANGED)
    same = (task.header.task_id, task.header.sandbox, task.header.uid, task.header.ports) == (
        record.task_id, record.sandbox, record.uid, record.ports,
    )  # fmt: skip
    return Applied(Outcome.NOOP if same else Outcome.ILLEGAL)


def _fold_status(task: TaskRecord, record: TaskStatus) -> Applied:
    task.state, outcome = step_task(task.state, record.state)
    if outcome in (Outcome.CHANGED, Outcome.NOOP):
        if outcome is Outcome.CHANGED:
            task.history.append(record)
            task.reason = record.reason
        if record.deadline:
            task.request_pending = False
            task.stop_deadline, task.deadline = record.stop_deadline, record.deadline
    return Applied(outcome)


def _fold_request(task: TaskRecord, record: Request) -> Applied:
    if task.terminal:
        return Applied(Outcome.NOTE)
    before = task.request
    if before is not None and not _is_stronger(record, before):
        return Applied(Outcome.NOOP)
    if before is not None and before.want is record.want:
        graces = [r.grace for r in (before, record) if r.grace is not None]
        record = structs.replace(record, grace=min(graces, default=None), finalize=before.finalize and record.finalize)
    task.request, task.request_pending = record, True
    return Applied(Outcome.CHANGED)


def _fold_restart(task: TaskRecord, record: Restart) -> Applied:
    """Only the last run of a process can make way; one that has ended already no longer waits for `min_duration`."""
    run = task.run(record.process, record.run)
    if run is None or run is not task.processes[record.process].last:
        return Applied(Outcome.ILLEGAL, run)
    if run.restart:
        return Applied(Outcome.NOOP, run)
    run.restart = True
    if not run.terminal:
        task.restarting[record.process] = record.run
    return Applied(Outcome.CHANGED, run)


def _is_stronger(new: Request, old: Request) -> bool:
    """Asking again changes nothing; asking to be quicker, or to give up, does. What was said stays said: a request
    that is stronger in one thing takes nothing back in the other."""
    if old.want is not new.want:
        return new.want is TaskState.LOST
    grace = float("inf") if new.grace is None else new.grace
    return grace < (float("inf") if old.grace is None else old.grace) or (old.finalize and not new.finalize)


def _fold_starting(task: TaskRecord, record: Starting) -> Applied:
    process = task.processes.get(record.process) or ProcessRecord(name=record.process)
    last = process.last
    if last is not None and last.number == record.run:
        return Applied(Outcome.NOOP if last.nonce == record.nonce else Outcome.ILLEGAL, last)
    if record.run != process.total or record.process in task.active:
        return Applied(Outcome.ILLEGAL, last)
    run = Run(
        process=record.process,
        number=record.run,
        nonce=record.nonce,
        offset=record.offset,
        starting_at=record.at,
    )
    if record.offset == 0:  # the inbox began anew, whoever lingers
        for number in task.unsettled.get(record.process, ()):
            process.runs[number].offset = 0
    task.processes[record.process] = process
    process.total += 1
    process.runs[run.number] = run
    task.active[record.process] = run.number
    _forget_old_runs(process)
    return Applied(Outcome.CHANGED, run)


def _forget_old_runs(process: ProcessRecord) -> None:
    """Drop the details of one old run, if there are too many: the runs are in the order of their numbers."""
    if len(process.runs) <= KEEP_RUNS:
        return
    floor = process.total - 3 * KEEP_RUNS
    for number, run in process.runs.items():
        if number >= process.total - KEEP_RUNS:
            return
        if run.settled and (run.state is not ProcessState.FAILED or number < floor):
            del process.runs[number]
            process.forgotten = [*process.forgotten[1 - KEEP_FORGOTTEN :], number]
            return


def _run_event(record: RunRecord) -> RunEvent | None:
    """The state machine's word for a record; None for one that changes no state."""
    match record:
        case Forked():
            return RunEvent.FORKED
        case Running():
            return RunEvent.RUNNING
        case SetupFailed():
            return RunEvent.SETUP_FAILED
        case Exited(code=None):
            return RunEvent.EXITED_SIGNAL
        case Exited(code=0):
            return RunEvent.EXITED_OK
        case Exited():
            return RunEvent.EXITED_BAD
        case Lost():
            return RunEvent.LOST
        case _:
            return None


def _fold_run(task: TaskRecord, record: RunRecord) -> Applied:
    run = task.run(record.process, record.run)
    if run is None:
        return Applied(Outcome.ILLEGAL)
    if 0 <= record.seq <= run.seq:
        return Applied(Outcome.NOOP, run)  # mirrored already
    if record.seq >= 0:
        run.damaged = run.damaged or record.seq > run.seq + 1
        run.seq = record.seq
    event = _run_event(record)
    if event is None:
        return _fold_note(task, run, record)
    state, outcome = step_run(run.state, event)
    if outcome is not Outcome.CHANGED or state is None:
        return Applied(outcome, run)
    run.state = state
    _keep_facts(run, record)
    if state in TERMINAL_RUN:
        _end_run(task, run, record)
    return Applied(Outcome.CHANGED, run)


def _fold_note(task: TaskRecord, run: Run, record: RunRecord) -> Applied:
    """The kill receipt and the last word of a lingering coordinator: facts that are no states."""
    if isinstance(record, Stopped):
        run.receipt = record
        return Applied(Outcome.NOTE, run)
    run.gone = True
    lingering = task.unsettled.get(run.process)
    if lingering is None or run.number not in lingering:
        return Applied(Outcome.NOTE, run)
    lingering.remove(run.number)
    if not lingering:
        del task.unsettled[run.process]
    return Applied(Outcome.CHANGED, run)


def _keep_facts(run: Run, record: RunRecord) -> None:
    match record:
        case Forked():
            run.forked_at = record.at
            run.coordinator, run.coordinator_start = record.pid, record.start
            run.boot, run.pidns = record.boot, record.pidns
        case Running():
            run.started_at, run.pid, run.pid_start = record.at, record.pid, record.start
        case SetupFailed():
            run.stage, run.errno, run.detail = record.stage, record.errno, record.detail
        case Exited():
            run.code, run.signal, run.daemons = record.code, record.signal, record.daemons
            run.utime, run.stime, run.maxrss = record.utime, record.stime, record.maxrss
        case Lost():
            run.lost, run.detail = record, record.reason


def _end_run(task: TaskRecord, run: Run, record: RunRecord) -> None:
    run.ended_at, run.ended_mono = record.at, record.mono
    process = task.processes[run.process]
    task.restarting.pop(run.process, None)
    counter = "restarts" if run.restart else _COUNTERS[run.state]
    setattr(process, counter, getattr(process, counter) + 1)
    if task.active.get(run.process) == run.number:
        del task.active[run.process]
    if not run.settled:
        task.unsettled.setdefault(run.process, []).append(run.number)
