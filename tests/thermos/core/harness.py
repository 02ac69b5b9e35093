"""A host that is only pretended: it turns actions into records, as scripted, on a clock that jumps.

`Host` drives `Lifecycle` and `fold` exactly as the runner does: record, fold, decide, perform, until there is nothing
left to do; then the clock jumps to `next_wake` or to the next scripted event, whichever comes first. Nothing sleeps.

After every round it checks what must hold always: no more runs than allowed, predecessors finished, nothing started
that should not be, no question asked again without a reason (`next_wake` lies in the future or is None).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from typing import TypedDict, Unpack

from msgspec import structs

from thermos.clock import Now
from thermos.core.actions import Action, EnterState, GiveUp, KillRun, StartRun, StopRun
from thermos.core.fold import TaskRecord, fold
from thermos.core.lifecycle import Lifecycle
from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Gone,
    Lost,
    Request,
    Running,
    SetupFailed,
    Starting,
    TaskStatus,
    decode_line,
    encode_record,
)
from thermos.core.states import Outcome, ProcessState, TaskState
from thermos.model import ProcessSpec, TaskSpec

#: The first moment, mono; wall time is this much more.
EPOCH, WALL = 1000.0, 1_000_000.0


@dataclass(frozen=True)
class Script:
    """How one run behaves. `lasts` None: until it is stopped."""

    lasts: float | None = 1.0
    code: int | None = 0  # None: it dies of `signal`
    signal: int = 11
    lost: bool = False  # instead of an exit
    setup_fails: bool = False
    polite: float | None = 0.25  # from the stop to its end; None: it ignores the stop
    dies: bool = True  # when it is killed
    daemons: float | None = None  # None: it leaves none; else how long they stay, if nobody stops them
    daemons_polite: float | None = 0.25


FOREVER = Script(lasts=None)
FAILS = Script(code=1)
STUBBORN = Script(lasts=None, polite=None)
UNDEAD = Script(lasts=None, polite=None, dies=False)


class Clock(TypedDict):
    """The two times of every record."""

    at: float
    mono: float


@dataclass
class Living:
    """What the pretended kernel knows of a run."""

    script: Script
    seq: int = 0
    over: bool = False
    gone: bool = False


@dataclass
class Host:
    spec: TaskSpec
    scripts: dict[str, list[Script]] = field(default_factory=dict)  # by process and run; the last one repeats
    run_limit: int = 0
    may_start: bool = True
    task: TaskRecord = field(default_factory=TaskRecord)
    now: float = EPOCH
    done: list[tuple[float, Action]] = field(default_factory=list)
    rounds: int = 0
    next_wake: float | None = None
    check: bool = True

    def __post_init__(self) -> None:
        self.life = Lifecycle(self.spec, run_limit=self.run_limit)
        self._living: dict[tuple[str, int], Living] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._specs = {p.name: p for p in self.spec.processes}

    # --- what a test does --------------------------------------------------------------------------------------------
    def at(self, seconds: float, what: Callable[[], None]) -> None:
        """`what` happens this many seconds after the beginning."""
        heappush(self._events, (EPOCH + seconds, next(self._order), what))

    def kill(self, grace: float | None = None, *, finalize: bool = True) -> None:
        self._request(TaskState.KILLED, grace, finalize)

    def lose(self) -> None:
        self._request(TaskState.LOST, 0.0, False)

    def allow_starts(self, yes: bool) -> None:
        self.may_start = yes

    def restart_owner(self) -> None:
        """A new owner with the same records; what an owner remembers is gone."""
        self.life = Lifecycle(self.spec, run_limit=self.run_limit)
        self.life.rebuild(self.task)

    def run(self, until: float = float("inf")) -> TaskState | None:
        """Go on to the end of the task, or for this many seconds since the beginning."""
        self.settle()
        while not self.task.terminal:
            moments = [t for t in (self.next_wake, self._events[0][0] if self._events else None) if t is not None]
            if not moments:
                assert until < float("inf"), f"stuck in {self.task.state}: nothing will ever happen"
                return self.task.state
            if min(moments) > EPOCH + until:
                self.now = EPOCH + until
                return self.task.state
            self.now = max(self.now, min(moments))
            while self._events and self._events[0][0] <= self.now:
                heappop(self._events)[2]()
            self.settle()
        return self.task.state

    # --- what a test looks at ----------------------------------------------------------------------------------------
    @property
    def elapsed(self) -> float:
        return round(self.now - EPOCH, 6)

    def when(self, kind: type[Action] | TaskState, process: str = "") -> list[float]:
        """When actions of a kind (about a process) were performed, or a state was entered, since the beginning."""
        if isinstance(kind, TaskState):
            return [round(h.mono - EPOCH, 6) for h in self.task.history if h.state is kind]
        return [
            round(at - EPOCH, 6)
            for at, action in self.done
            if isinstance(action, kind) and process in ("", getattr(action, "process", ""))
        ]

    def phases(self) -> list[TaskState]:
        return [h.state for h in self.task.history]

    def states(self, process: str) -> list[ProcessState]:
        known = self.task.processes.get(process)
        return [run.state for run in known.runs.values()] if known else []

    # --- the loop ----------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        for _ in range(1000):
            self.rounds += 1
            decision = self.life.decide(self.task, Now(self.now + WALL, self.now), may_start=self.may_start)
            if not decision.actions:
                break
            assert len({type(a) for a in decision.actions}) == 1, "one kind of action in one decision"
            for action in decision.actions:
                self._perform(action)
        else:
            raise AssertionError(f"the decisions never settle: {decision}")
        self.next_wake = decision.next_wake
        assert self.next_wake is None or self.next_wake > self.now, "asks to be asked again at once: it spins"
        if self.check:
            self._check()

    def _check(self) -> None:
        running = set(self.task.active)
        limit = self.spec.max_concurrency
        for final in (False, True):
            assert not limit or sum(self._specs[n].final is final for n in running) <= limit
        if self.task.terminal:
            assert not running
            assert self.next_wake is None

    def record(self, record: AnyRecord) -> None:
        """To bytes and back, then folded: what the planner learns is what stands on disk."""
        line = decode_line(encode_record(record))
        kept = getattr(line, "record", None)
        assert kept is not None
        self.task, applied = fold(self.task, kept)
        assert applied.outcome is not Outcome.ILLEGAL, record
        if applied.outcome is Outcome.CHANGED and applied.run is not None:
            self.life.update(self.task, applied.run)

    def _clock(self) -> Clock:
        return {"at": self.now + WALL, "mono": self.now}

    def _request(self, want: TaskState, grace: float | None, finalize: bool) -> None:
        if not self.task.terminal:
            self.record(Request(**self._clock(), want=want, grace=grace, finalize=finalize))

    def _perform(self, action: Action) -> None:
        self.done.append((self.now, action))
        match action:
            case EnterState(state, reason, stop_deadline, deadline):
                self.record(
                    TaskStatus(
                        **self._clock(), state=state, reason=reason, stop_deadline=stop_deadline, deadline=deadline
                    )
                )
            case StartRun(process):
                self._start(process)
            case StopRun(process, run):
                self._stop(process, run)
            case KillRun(process, run):
                self._kill(process, run)
            case GiveUp(process, run, reason):
                assert (process, run) in self._living
                self.record(Lost(**self._clock(), process=process, run=run, reason=reason))

    # --- the pretended coordinators ----------------------------------------------------------------------------------
    def _start(self, process: str) -> None:
        known = self.task.processes.get(process)
        number = known.total if known else 0
        self._check_start(self._specs[process])
        self.record(Starting(**self._clock(), process=process, run=number, nonce="n", offset=0))
        scripts = self.scripts.get(process, [Script()])
        run = self._living[process, number] = Living(scripts[min(number, len(scripts) - 1)])
        self._append(process, number, Forked, pid=2, start=1, boot="b", pidns=1)
        if run.script.setup_fails:
            self._append(process, number, SetupFailed, stage="exec", errno=2)
            run.over = run.gone = True
            return
        self._append(process, number, Running, pid=3, start=1)
        if run.script.lasts is not None:
            self._later(run.script.lasts, lambda: self._end(process, number))

    def _check_start(self, spec: ProcessSpec) -> None:
        assert self.may_start, f"{spec.name} was started though nothing can be recorded"
        assert self.task.state is (TaskState.FINALIZING if spec.final else TaskState.ACTIVE)
        assert spec.name not in self.task.active
        known = self.task.processes.get(spec.name)
        if known is not None and known.last is not None:
            assert self.now >= known.last.ended_mono + spec.min_duration, f"{spec.name} was started too early"
        if self.check:
            for before, after in (pair for names in self.spec.order for pair in pairwise(names)):
                if after == spec.name and self._specs[before].final is spec.final:
                    assert self.life.planner_of(spec.name).standing(before) == "finished", f"{after} before {before}"

    def _append(self, process: str, run: int, kind: Callable[..., AnyRecord], **facts: object) -> None:
        living = self._living[process, run]
        self.record(kind(**self._clock(), process=process, run=run, seq=living.seq, **facts))
        living.seq += 1

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        heappush(self._events, (self.now + seconds, next(self._order), what))

    def _end(self, process: str, number: int, signal: int | None = None) -> None:
        """The main of the run ends, by itself or of a signal that we sent."""
        run = self._living[process, number]
        if run.over:
            return
        run.over = True
        script = run.script
        if script.lost and signal is None:
            self.record(Lost(**self._clock(), process=process, run=number, reason="its coordinator died"))
            run.gone = True
            return
        code = script.code if signal is None else None
        lingers = script.daemons if signal is None else None
        self._append(
            process, number, Exited, code=code,
            signal=None if code is not None else signal or script.signal, daemons=int(lingers is not None),
        )  # fmt: skip
        if lingers is None:
            run.gone = True
        elif lingers < float("inf"):
            self._later(lingers, lambda: self._leave(process, number))

    def _leave(self, process: str, number: int) -> None:
        """The last daemon of the run is gone."""
        run = self._living[process, number]
        if not run.gone:
            run.gone = True
            self._append(process, number, Gone)

    def _stop(self, process: str, number: int) -> None:
        run = self._living[process, number]
        if run.over:
            assert not run.gone, f"{process} {number} is stopped though nothing of it is left"
            if run.script.daemons_polite is not None:
                self._later(run.script.daemons_polite, lambda: self._leave(process, number))
        elif run.script.polite is not None:
            self._later(run.script.polite, lambda: self._end(process, number, 15))

    def _kill(self, process: str, number: int) -> None:
        run = self._living[process, number]
        assert not run.gone, f"{process} {number} is killed though nothing of it is left"
        if run.script.dies:
            self._later(0.0, lambda: self._leave(process, number) if run.over else self._end(process, number, 9))


class Flags(TypedDict, total=False):
    daemon: bool
    ephemeral: bool


def process(name: str, *, max_failures: int = 1, min_duration: float = 5, **flags: Unpack[Flags]) -> ProcessSpec:
    return ProcessSpec(name=name, cmdline="x", max_failures=max_failures, min_duration=min_duration, **flags)


def final(name: str, *, max_failures: int = 1, min_duration: float = 5, **flags: Unpack[Flags]) -> ProcessSpec:
    return structs.replace(process(name, max_failures=max_failures, min_duration=min_duration, **flags), final=True)


def host(
    *processes: ProcessSpec | str,
    order: tuple[tuple[str, ...], ...] = (),
    max_failures: int = 1,
    max_concurrency: int = 0,
    wait: float = 30,
    run_limit: int = 0,
    **scripts: Script | list[Script],
) -> Host:
    """A host with one task; what has no script ends well after a second."""
    spec = TaskSpec(
        name="t",
        processes=tuple(process(p) if isinstance(p, str) else p for p in processes),
        order=order,
        max_failures=max_failures,
        max_concurrency=max_concurrency,
        finalization_wait=wait,
    )
    return Host(spec, {n: s if isinstance(s, list) else [s] for n, s in scripts.items()}, run_limit)
