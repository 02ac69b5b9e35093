"""From a Source to views: the row of a list, the task page, the process page. Pure; one call a view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from observer.core.plan import Plan
from observer.core.source import Source, chart_of, run_seconds, sane
from observer.core.timeline import history_of, timeline_of
from observer.core.views import (
    ConfigView,
    Counts,
    GraphView,
    IndexRow,
    Moment,
    Note,
    Port,
    ProcessRow,
    ProcessView,
    Receipt,
    ResourceLimits,
    RunRow,
    TaskHead,
    TaskView,
    UsageNow,
)
from observer.core.words import receipt_words, run_ending
from thermos.clock import Now
from thermos.core.doing import Doing
from thermos.core.fold import ProcessRecord, Run, TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.model import LoggerSpec, ProcessSpec, TaskSpec, encode_task

_WAITING = (Doing.READY, Doing.BLOCKED, Doing.RETRY)
#: Names in a list of a kill receipt, receipts on a page, runs on a page.
MAX_NAMES = 20
MAX_RECEIPTS = 100
MAX_RUNS = 300


def head_of(source: Source) -> TaskHead:
    record, header = source.record, source.record.header
    return TaskHead(
        key=source.key,
        ref=source.ref,
        task_id=source.task_id,
        name=source.spec.name if source.spec else "",
        root=source.root,
        active=source.active,
        state=state_word(record),
        state_since=state_since(record),
        reason=record.reason,
        hostname=header.hostname if header else "",
        user=header.user if header else "",
        launched_at=sane(header.at) if header else 0.0,
        ended_at=sane(record.history[-1].at) if record.terminal and record.history else 0.0,
    )


def state_word(record: TaskRecord) -> str:
    """The state as pages show it: a task whose first status is not recorded yet is STARTING, one without a header
    UNKNOWN."""
    if record.state is not None:
        return str(record.state)
    return "STARTING" if record.header is not None else "UNKNOWN"


def state_since(record: TaskRecord) -> float:
    if record.history:
        return sane(record.history[-1].at)
    return sane(record.header.at) if record.header else 0.0


def ports_of(record: TaskRecord, limit: int = 100) -> tuple[Port, ...]:
    header = record.header
    if header is None:
        return ()
    numbers = sorted(header.ports.items())[:limit]
    return tuple(Port(name, number, port_url(header.hostname, number)) for name, number in numbers)


def port_url(hostname: str, number: int) -> str:
    """A link is only made of a host name and a port that are nothing else; "" otherwise."""
    plain = hostname.replace(".", "").replace("-", "").replace("_", "")
    good = plain.isascii() and plain.isalnum() and 0 < number < 65536
    return f"http://{hostname}:{number}/" if good else ""


def row_of(source: Source) -> IndexRow:
    """A line of the task list."""
    head, record = head_of(source), source.record
    return IndexRow(
        key=head.key,
        ref=head.ref,
        task_id=head.task_id,
        root=head.root,
        active=head.active,
        name=head.name,
        role=head.user,
        state=head.state,
        reason=head.reason,
        state_since=head.state_since,
        launched_at=head.launched_at,
        changed_at=source.changed_at,
        ports=ports_of(record, 8) if source.active else (),
        usage=source.measured.usage,
        counts=_quick_counts(source),
        runs=sum(p.total for p in record.processes.values()),
        failures=sum(p.failures for p in record.processes.values()),
        restarts=sum(p.restarts for p in record.processes.values()),
        health=_health_word(source),
        notes=_row_notes(source),
    )


def _health_word(source: Source) -> str:
    """Of a task that runs; what a finished one was is no news."""
    executor = source.executor
    return executor.health.word if source.active and executor is not None and executor.health is not None else ""


def _quick_counts(source: Source) -> Counts:
    """By plan if there is one."""
    if source.spec is None:
        return Counts(total=len(source.record.processes), running=len(source.record.active))
    plan = Plan(source.spec, source.record, source.now)
    return count_doings([plan.doing(p) for p in source.spec.processes])


def count_doings(doings: Sequence[Doing]) -> Counts:
    running = sum(d is Doing.RUNNING for d in doings)
    waiting = sum(d in _WAITING for d in doings)
    done = sum(d is Doing.DONE for d in doings)
    failed = sum(d is Doing.FAILED for d in doings)
    return Counts(len(doings), running, waiting, done, failed, len(doings) - running - waiting - done - failed)


def _row_notes(source: Source) -> tuple[Note, ...]:
    if source.attendance == "unattended" and not source.record.terminal:
        return (*source.notes, Note("unattended: no runner minds it", serious=True))
    return source.notes


def task_view(source: Source, moment: Moment | None = None) -> TaskView:
    """The task page."""
    record, spec, header = source.record, source.spec, source.record.header
    plan = Plan(spec, record, source.now) if spec else None
    rows = process_rows(source, plan)
    critical = plan.critical if plan else []
    past = moment is not None and not moment.live
    return TaskView(
        head=head_of(source),
        attendance="" if record.terminal or past else source.attendance,
        unattended_since=0.0 if past else sane(source.unattended_since),
        owner_pid=record.owner.pid if record.owner and not record.terminal and not record.released else 0,
        uid=header.uid if header else 0,
        sandbox=header.sandbox if header else "",
        log_dir=header.log_dir if header else "",
        chroot=header.chroot if header else False,
        ports=ports_of(record),
        resources=_resources(spec),
        max_failures=spec.max_failures if spec else 0,
        max_concurrency=spec.max_concurrency if spec else 0,
        finalization_wait=spec.finalization_wait if spec else 0.0,
        deadline_at=deadline_at(record, source.now),
        history=history_of(record),
        processes=rows,
        counts=count_doings([row.doing for row in rows]),
        graph=plan.graph() if plan else GraphView(),
        timeline=timeline_of(record, [row.name for row in rows], critical, source.now.wall),
        usage=UsageNow() if past else source.measured.usage,
        chart=() if past else chart_of(source.measured.series, source.now),
        receipts=tuple(_receipts(record))[-MAX_RECEIPTS:],
        executor=None if past else source.executor,
        config=config_text(spec),
        moment=moment,
        notes=_task_notes(source),
        at=source.now.wall,
    )


def deadline_at(record: TaskRecord, now: Now) -> float:
    """When (wall) what goes on now is cut short; 0 when nothing is."""
    mono = {TaskState.CLEANING: record.stop_deadline, TaskState.FINALIZING: record.deadline}.get(
        record.state or TaskState.ACTIVE, 0.0
    )
    return sane(now.wall + mono - now.mono) if mono else 0.0


def _resources(spec: TaskSpec | None) -> ResourceLimits | None:
    if spec is None or spec.resources is None:
        return None
    limits = spec.resources
    return ResourceLimits(limits.cpu, limits.ram, limits.disk, limits.gpu)


def _task_notes(source: Source) -> tuple[Note, ...]:
    notes = list(source.notes)
    if source.spec is None:
        notes.append(Note("its configuration can't be read: graph and reasons are not shown", serious=True))
    if source.record.complete_since:
        notes.append(Note("a long history was cut: old records are summed up, not listed"))
    return tuple(notes)


def config_text(spec: TaskSpec | None) -> str:
    return encode_task(spec).decode() if spec else ""


def config_view(source: Source) -> ConfigView:
    return ConfigView(head_of(source), config_text(source.spec))


# --- processes -------------------------------------------------------------------------------------------------------


def process_rows(source: Source, plan: Plan | None) -> tuple[ProcessRow, ...]:
    """In the order of the graph; without a readable spec, what the records name."""
    if plan is None:
        return tuple(_bare_row(source, record) for record in source.record.processes.values())
    return tuple(process_row(source, plan, process) for process in plan.order)


def process_row(source: Source, plan: Plan, process: ProcessSpec) -> ProcessRow:
    record = source.record.processes.get(process.name) or ProcessRecord(name=process.name)
    doing = plan.doing(process)
    run = record.last
    return ProcessRow(
        name=process.name,
        doing=doing,
        state=str(run.state if run else ProcessState.WAITING),
        note=plan.note(process, doing, run),
        level=plan.levels[process.name],
        final=process.final,
        daemon=process.daemon,
        ephemeral=process.ephemeral,
        critical=process.name in plan.critical,
        runs=record.total,
        successes=record.successes,
        failures=record.failures,
        kills=record.kills,
        losses=record.losses,
        restarts=record.restarts,
        max_failures=process.max_failures,
        last=run_row(run, source.now.wall) if run else None,
        usage=source.measured.processes.get(process.name, UsageNow()),
    )


def _bare_row(source: Source, record: ProcessRecord) -> ProcessRow:
    run = record.last
    well = run is not None and run.state is ProcessState.SUCCESS
    ended = Doing.DONE if well else Doing.STOPPED
    return ProcessRow(
        name=record.name,
        doing=Doing.RUNNING if run is not None and not run.terminal else ended,
        state=str(run.state if run else ProcessState.WAITING),
        note=run_ending(run) if run else "",
        runs=record.total,
        successes=record.successes,
        failures=record.failures,
        kills=record.kills,
        losses=record.losses,
        restarts=record.restarts,
        last=run_row(run, source.now.wall) if run else None,
        usage=source.measured.processes.get(record.name, UsageNow()),
    )


def run_row(run: Run, wall: float) -> RunRow:
    return RunRow(
        number=run.number,
        state=str(run.state),
        ending=run_ending(run),
        code=run.code,
        signal=run.signal,
        starting_at=sane(run.starting_at),
        started_at=sane(run.started_at),
        ended_at=sane(run.ended_at),
        seconds=run_seconds(run, wall),
        pid=run.pid,
        user=run.utime,
        system=run.stime,
        maxrss=run.maxrss,
        daemons=0 if run.gone else run.daemons,
        damaged=run.damaged,
        receipt=receipt_of(run),
    )


def receipt_of(run: Run) -> Receipt | None:
    """What a stop, or giving it up, did to a run."""
    if run.receipt is not None:
        told = run.receipt
        return Receipt(
            run.process,
            run.number,
            sane(told.at),
            receipt_words(told),
            _names(told.killed),
            _names(told.daemons),
            _names(told.refused),
        )
    if run.lost is not None and (run.lost.killed or run.lost.refused):
        lost = run.lost
        words = f"given up: {lost.reason}"
        return Receipt(run.process, run.number, sane(lost.at), words, _names(lost.killed), (), _names(lost.refused))
    return None


def _names(entries: Sequence[tuple[int, str]]) -> tuple[str, ...]:
    shown = tuple(f"{comm} ({pid})" for pid, comm in entries[:MAX_NAMES])
    return shown if len(entries) <= MAX_NAMES else (*shown, f"and {len(entries) - MAX_NAMES} more")


def _receipts(record: TaskRecord) -> Iterator[Receipt]:
    found = [
        receipt
        for process in record.processes.values()
        for run in process.runs.values()
        if (receipt := receipt_of(run)) is not None
    ]
    yield from sorted(found, key=lambda receipt: receipt.at)


def process_view(source: Source, name: str) -> ProcessView | None:
    """The process page; None when the task has no such process."""
    spec = next((p for p in source.spec.processes if p.name == name), None) if source.spec else None
    record = source.record.processes.get(name)
    if spec is None and record is None:
        return None
    plan = Plan(source.spec, source.record, source.now) if source.spec else None
    record = record or ProcessRecord(name=name)
    row = process_row(source, plan, spec) if plan is not None and spec is not None else _bare_row(source, record)
    runs = [run_row(record.runs[number], source.now.wall) for number in sorted(record.runs, reverse=True)[:MAX_RUNS]]
    waits_for, needed_by = plan.neighbours(name) if plan is not None else ((), ())
    logger = spec.logger if spec is not None and spec.logger is not None else LoggerSpec()
    return ProcessView(
        head=head_of(source),
        process=row,
        cmdline=spec.cmdline if spec else "",
        runs=tuple(runs),
        runs_left_out=record.total - len(runs),
        min_duration=spec.min_duration if spec else 0.0,
        log_destination=str(logger.destination),
        log_mode=str(logger.mode),
        waits_for=waits_for,
        needed_by=needed_by,
        usage=row.usage,
        chart=chart_of(source.measured.process_series.get(name), source.now),
        notes=_row_notes(source),
        at=source.now.wall,
    )
