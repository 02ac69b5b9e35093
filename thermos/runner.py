"""The runner: owns one task, decides, and lets coordinators act. A library object without threads or signal handlers.

    inbox records, ended coordinators, time, requests -> record in `runner` -> fold -> decide -> perform -> …

It can die at any instruction: every effect is preceded by its record, so the next owner (`thermos.recovery.own_task`)
folds the same records and goes on. The embedder waits for one file descriptor (an epoll set of ours) and one moment:

    runner = own_task(…)
    while not runner.done:
        wait for runner.fileno(), or until runner.next_wake
        runner.on_ready(now), or runner.on_timer(now)

When nothing can be recorded (disk full) it starts nothing new, still stops what has to stop, and tries again with
back-off; `trouble` says so in one line.
"""

from __future__ import annotations

import contextlib
import signal
from collections import deque
from collections.abc import Callable

from thermos.clock import Now
from thermos.core.actions import Action, EnterState, GiveUp, KillRun, StartRun, StopRun
from thermos.core.fold import Applied, Run, TaskRecord, fold, take_snapshot
from thermos.core.lifecycle import Lifecycle
from thermos.core.planner import Planner, Standing
from thermos.core.records import (
    AnyRecord,
    Forked,
    Lost,
    Released,
    Request,
    Restart,
    SetupFailed,
    Starting,
    TaskStatus,
    encode_record,
)
from thermos.core.states import Outcome, ProcessState, TaskState
from thermos.errors import Bug
from thermos.host.burial import Respawns, records_of_end
from thermos.host.checkpoint import CannotRecord, Checkpoint
from thermos.host.inboxes import Inboxes
from thermos.host.kernel import Kernel
from thermos.host.minders import CannotWatch, Minder, Minders
from thermos.host.proctree import Swept, reap_orphans, sweep
from thermos.host.spawn import Settings, Spawner
from thermos.host.users import UnknownUser
from thermos.model import ProcessSpec, TaskSpec

#: A `runner` file longer than this is replaced by a snapshot; an inbox longer than that begins anew.
MAX_RUNNER_FILE = 16 * 1024 * 1024
MAX_INBOX_FILE = 1024 * 1024

#: An inbox so many times longer begins anew although daemons linger: what their coordinators still have to say is lost.
_TOO_LONG = 4

#: Back-off after a record could not be written, seconds.
_STALL_FIRST, _STALL_MAX = 0.1, 5.0

#: Seconds that coordinators get to leave when everything is recorded.
_LEAVE_PATIENCE = 1.0

#: So many seconds may pass between the embedder's look at the clock and the last record that is read then.
_CLOCK_SLACK = 1.0

OnRecord = Callable[[AnyRecord, Applied], None]


class Runner:
    """Made by `thermos.recovery.own_task`."""

    def __init__(
        self,
        spec: TaskSpec,
        checkpoint: Checkpoint,
        settings: Settings,
        kernel: Kernel,
        on_record: OnRecord | None = None,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.task = TaskRecord()
        self.next_wake: float | None = None  # mono
        self.trouble = ""  # why something can't be recorded now
        self.done = False  # terminal, recorded and filed under finished; or let go
        self.checkpoint = checkpoint
        self._kernel = kernel
        self._on_record = on_record
        self._life = Lifecycle(spec, run_limit=settings.run_limit)
        self._specs: dict[str, ProcessSpec] = {p.name: p for p in spec.processes}
        self._spawner = Spawner(settings, kernel, checkpoint.paths.task_id, checkpoint.dir_fd)
        self._inboxes = Inboxes(checkpoint, kernel, self._specs)
        self._minders = Minders(kernel, checkpoint.wake_fd)
        self._dead: list[Minder] = []  # coordinators that ended
        self._unwatched: dict[tuple[str, int], int] = {}  # coordinators to watch: our child's pid, 0: as recorded
        self._swept: dict[tuple[str, int], Swept] = {}
        self._todo: deque[Action] = deque()
        self._respawns = Respawns()
        self._pending: deque[Request] = deque()  # requests that are not recorded yet
        self._stall = 0.0
        self._stuck: set[str] = set()  # processes whose coordinator can't record
        self._finished_at: float | None = None
        self._newest = 0.0  # mono of the last mirrored record
        self._compact_above = MAX_RUNNER_FILE

    # what an embedder calls -----------------------------------------------------------------------
    def fileno(self) -> int:
        """The one descriptor to wait for."""
        return self._minders.fileno()

    @property
    def state(self) -> TaskState | None:
        return self.task.state

    def planner_of(self, process: str) -> Planner:
        """For people who ask why a process waits."""
        return self._life.planner_of(process)

    def on_ready(self, now: Now) -> None:
        """The descriptor is readable."""
        if self.done:
            return
        woken, ended = self._minders.poll()
        wishes = self._inboxes.drain_wake() if woken else []
        for minder in ended:
            self._inboxes.grown.add(minder.process)
        self._dead += ended
        self._settle(now)
        for wish in wishes:
            self._obey(wish, now)

    def on_timer(self, now: Now) -> None:
        """`next_wake` has come."""
        self._settle(now)

    def kill(self, now: Now, grace: float | None = None, *, finalize: bool = True, reason: str = "") -> None:
        """End the task as KILLED. `grace` seconds for everything; None: the task's finalization_wait; 0: now."""
        self._request(TaskState.KILLED, now, grace, finalize and grace != 0, reason or "killed")

    def lose(self, now: Now, *, reason: str = "") -> None:
        """End the task as LOST, at once and without finalizers."""
        self._request(TaskState.LOST, now, 0.0, False, reason or "lost")

    def restart(self, process: str, now: Now) -> bool:
        """End the process's current run politely and begin the next at once; one that waits for its turn starts now.

        False when there is nothing to restart: it was never started, is over for good, or the task is ending. Raises
        CannotRecord.
        """
        known = self.task.processes.get(process)
        if self.done or self.task.state is not TaskState.ACTIVE or known is None or known.last is None:
            return False
        if self._life.planner_of(process).standing(process) not in (Standing.RUNNING, Standing.READY):
            return False
        self.append(Restart(at=now.wall, mono=now.mono, process=process, run=known.last.number))
        self._settle(now)
        return True

    def _obey(self, wish: str, now: Now) -> None:
        """A wish from the FIFO; what can't be done or understood is left undone, whoever asked looks at the records."""
        if self.done:
            return
        verb, _, rest = wish.partition(" ")
        process = self._inboxes.process_of(rest)
        try:
            if verb == "detach":
                self.detach(now)
            elif verb == "kill":
                how, _, reason = rest.partition(" ")
                self.kill(now, 0.0 if how == "now" else None, reason=reason)
            elif verb == "stuck" and process is not None:
                self._stuck.add(process)
                self.trouble = self.trouble or self._stuck_text()
            elif verb == "restart" and process is not None:
                self.restart(process, now)
        except CannotRecord as error:
            self.trouble = str(error)

    def detach(self, now: Now) -> None:
        """Let go: coordinators and processes go on, the next owner takes over. Raises CannotRecord."""
        if self.done:
            return
        self.append(Released(at=now.wall, mono=now.mono, pid=self._kernel.getpid()))
        self.close()

    def close(self) -> None:
        """Give up the lock and all descriptors, record nothing. Idempotent."""
        if self.done:
            return
        self.done = True
        self.next_wake = None
        self._minders.close()
        self.checkpoint.close()

    # what recovery calls --------------------------------------------------------------------------
    def load(self, records: list[AnyRecord]) -> None:
        """Replay what earlier owners recorded; no effects."""
        for record in records:
            self.task, _ = fold(self.task, record)

    def take_over(self, now: Now) -> None:
        """Read what coordinators recorded meanwhile, watch the living ones, begin again what was never begun."""
        for name, process in self.task.processes.items():
            loose = [process.runs[number] for number in self.task.unsettled.get(name, ())]
            if name in self.task.active:
                loose.append(self._current(name))
            if loose:
                self._inboxes.follow(name, min(run.offset for run in loose))
                self._inboxes.grown.add(name)
        self._mirror_inboxes()
        self._life.rebuild(self.task, now)
        for name in list(self.task.active):
            self._adopt_or_begin(self._current(name), now)
        for name, numbers in list(self.task.unsettled.items()):
            for number in numbers:
                self._adopt_or_begin(self.task.processes[name].runs[number], now)
        self._settle(now)

    def _adopt_or_begin(self, run: Run, now: Now) -> None:
        if run.state is ProcessState.WAITING:
            self._respawns.add((run.process, run.number), now)
        else:
            self._unwatched.setdefault((run.process, run.number), 0)

    def append(self, record: AnyRecord) -> Applied:
        """Record, then fold. Raises CannotRecord; then nothing has happened."""
        self.checkpoint.append(record)
        return self._fold(record)

    # the loop's body ------------------------------------------------------------------------------
    def _fold(self, record: AnyRecord) -> Applied:
        self.task, applied = fold(self.task, record)
        if applied.outcome is Outcome.CHANGED and applied.run is not None:
            self._life.update(self.task, applied.run)
        if self._on_record is not None:
            self._on_record(record, applied)
        return applied

    def _request(self, want: TaskState, now: Now, grace: float | None, finalize: bool, reason: str) -> None:
        if self.done or self.task.terminal:
            return
        request = Request(at=now.wall, mono=now.mono, want=want, grace=grace, finalize=finalize, reason=reason)
        self._pending.append(request)
        self._settle(now)

    def _settle(self, now: Now) -> None:
        """Everything that can be done now, until only an event or time can change anything."""
        try:
            while self._pending:
                self.append(self._pending[0])
                self._pending.popleft()
                self._todo = deque(a for a in self._todo if not self._is_new_start(a))
            while not self.done and self._step(now):
                pass
            self._stall, self.trouble = 0.0, self._stuck_text()
        except (CannotRecord, CannotWatch) as error:
            self.trouble = str(error)
            self._stall = min(_STALL_MAX, self._stall * 2 or _STALL_FIRST)
            self.next_wake = now.mono + self._stall
            self._todo = deque(a for a in self._todo if not isinstance(a, EnterState))  # deadlines count from then on
            self._stop_anyway(now)

    def _stuck_text(self) -> str:
        """What coordinators can't record is kept by them; here it is only told. What was stuck has got through when
        their inbox grows, or is over when they have ended."""
        self._stuck &= self.task.active.keys() | self.task.unsettled.keys()
        if not self._stuck:
            return ""
        path = self.checkpoint.paths.inbox(min(self._stuck))
        return f"cannot record: disk full? ({path}{', and others' if len(self._stuck) > 1 else ''})"

    def _is_new_start(self, action: Action) -> bool:
        """A start of a regular process of which nothing is recorded yet."""
        return (
            isinstance(action, StartRun)
            and not self._specs[action.process].final
            and action.process not in self.task.active
        )

    def _stop_anyway(self, now: Now) -> None:
        """Nothing can be recorded; what has to stop is told all the same (to tell it twice does no harm)."""
        asked = [*self._pending, *([self.task.request] if self.task.request else [])]
        cleaning = self.task.state is TaskState.CLEANING
        at_once = any(r.grace == 0 for r in asked) or (cleaning and now.mono >= self.task.stop_deadline)
        if self.task.state is TaskState.FINALIZING and not at_once and all(r.finalize for r in asked):
            return
        if asked or cleaning:
            for minder in self._minders:
                self._minders.signal(*minder.key, signal.SIGQUIT if at_once else signal.SIGTERM)

    def _step(self, now: Now) -> bool:
        """One round: facts first, then one decision. False when there was nothing to do."""
        self._mirror_inboxes()
        while self._unwatched:
            self._watch_rest()
            self._mirror_inboxes()
        now = self._after_records(now)
        self._bury_dead(now)
        self._respawn_due(now)
        if not self._todo:
            if self.task.terminal:
                self._finish(now)
                return False
            decision = self._life.decide(self.task, now)
            self._todo.extend(decision.actions)
            self._plan_wake(decision.next_wake)
        acted = bool(self._todo)
        while self._todo:
            self._perform(self._todo[0], now)
            self._todo.popleft()
        return acted

    def _finish(self, now: Now) -> None:
        """File the task under finished; then let the last coordinators leave, so that none becomes a zombie of the
        embedder's. One that does not leave (its process can't be killed) is not waited for long."""
        if self._finished_at is None:
            self.checkpoint.finish()
            self._finished_at = now.mono
        if not self._minders or now.mono >= self._finished_at + _LEAVE_PATIENCE:
            self.close()
        else:
            self.next_wake = self._finished_at + _LEAVE_PATIENCE

    def _after_records(self, now: Now) -> Now:
        """What was recorded after the embedder looked at its clock is no future: what follows from it comes later. A
        record from far away (another boot's, a forged one) moves nothing."""
        late = self._newest - now.mono
        return Now(now.wall + late, now.mono + late) if 0 < late < _CLOCK_SLACK else now

    def _plan_wake(self, decided: float | None) -> None:
        self.next_wake = min((w for w in (decided, self._respawns.next_wake) if w is not None), default=None)

    def _perform(self, action: Action, now: Now) -> None:
        """The only place that turns a decision into an effect; asked again after CannotRecord."""
        match action:
            case EnterState(state, reason, stop_deadline, deadline):
                self.append(
                    TaskStatus(
                        at=now.wall,
                        mono=now.mono,
                        state=state,
                        reason=reason,
                        stop_deadline=stop_deadline,
                        deadline=deadline,
                    )
                )
            case StartRun(process):
                self._start(process, now)
            case StopRun(process, run):
                self._minders.signal(process, run, signal.SIGTERM)
            case KillRun(process, run):
                self._minders.signal(process, run, signal.SIGQUIT)
            case GiveUp(process, run, reason):
                self.append(Lost(at=now.wall, mono=now.mono, process=process, run=run, reason=reason))

    def _compact_if_long(self, now: Now) -> None:
        """Replace a long `runner` file by a snapshot; again only after it has doubled."""
        if self.checkpoint.size <= self._compact_above:
            return
        complete_since = self.task.complete_since
        lines = encode_record(take_snapshot(self.task, now.wall, now.mono, now.wall))
        if self.task.owner is not None:  # who looks for the owner reads no snapshot
            lines += encode_record(self.task.owner)
        try:
            self.checkpoint.replace(lines)
        except CannotRecord:  # no room for both; the old one is as good
            self.task.complete_since = complete_since
        self._compact_above = max(MAX_RUNNER_FILE, 2 * self.checkpoint.size)

    # starting -------------------------------------------------------------------------------------
    def _start(self, name: str, now: Now) -> None:
        if name in self.task.active:  # recorded before, but what came after could not be
            self._spawn(self._current(name), now)
            return
        self._compact_if_long(now)
        known = self.task.processes.get(name)
        offset = self._inbox_offset(name)
        nonce, number = self._kernel.nonce(), known.total if known else 0
        self.append(Starting(at=now.wall, mono=now.mono, process=name, run=number, nonce=nonce, offset=offset))
        self._inboxes.follow(name, offset)
        self._spawn(self._current(name), now)

    def _inbox_offset(self, name: str) -> int:
        """Where the next run's records will begin; a long inbox that nobody needs any more begins anew.

        Where each run leaves a daemon that outlives the next start there is no such moment. Then it is done all the
        same: that a lingering coordinator has gone is seen by its pidfd, only its kill receipt would be missed.
        """
        size = self.checkpoint.inbox_size(name)
        if size > MAX_INBOX_FILE * (_TOO_LONG if name in self.task.unsettled else 1):
            self.checkpoint.drop_inbox(name)
            self._inboxes.begin_anew(name)
            return 0
        return size

    def _spawn(self, run: Run, now: Now) -> None:
        """Start the coordinator of a run; that it can't be started is a failed set-up."""
        name = run.process
        try:
            wake = self._inboxes.wake_token(name)
            forgotten = self.task.processes[name].forgotten
            pid = self._spawner.spawn(run, self._specs[name], wake, self._stop_wait(name, now), forgotten)
        except UnknownUser as error:
            self._setup_failed(run, "user", 0, str(error), now)
        except OSError as error:
            self._setup_failed(run, "spawn", error.errno or 0, error.strerror or "", now)
        else:
            self._unwatched[run.process, run.number] = pid
            with contextlib.suppress(CannotWatch):  # tried again before anything else is done
                self._watch_rest()

    def _stop_wait(self, name: str, now: Now) -> float:
        if self._specs[name].final and self.task.deadline:
            return max(0.0, self.task.deadline - now.mono)
        return self._life.stop_wait

    def _current(self, name: str) -> Run:
        run = self.task.run(name, self.task.active[name])
        if run is None:
            raise Bug(f"process {name} is active without a run")
        return run

    def _setup_failed(self, run: Run, stage: str, errno: int, detail: str, now: Now) -> None:
        process, number = run.process, run.number
        self.append(
            SetupFailed(
                at=now.wall, mono=now.mono, process=process, run=number, stage=stage, errno=errno, detail=detail
            )
        )

    # facts ----------------------------------------------------------------------------------------
    def _mirror_inboxes(self) -> None:
        """Copy what is new in the inboxes into `runner`, then fold it; read again if that fails."""
        while self._inboxes.grown:
            name = next(iter(self._inboxes.grown))
            lines, offset = self._inboxes.news(name, self.task)
            if lines:
                self.checkpoint.append_raw(b"".join(line.raw for line in lines))
            self._inboxes.advance(name, offset)
            if lines:
                self._stuck.discard(name)
            for line in lines:
                if line.record is not None:
                    self._newest = line.record.mono
                    self._fold(line.record)
                if isinstance(line.record, Forked):
                    self._meet(line.record)

    def _meet(self, record: Forked) -> None:
        """The coordinator that won may be another than the one that we spawned (an earlier owner's)."""
        minder = self._minders.get(record.process, record.run)
        run = self.task.run(record.process, record.run)
        if run is not None and not run.settled and (minder is None or minder.pid != record.pid):
            self._unwatched[run.process, run.number] = 0

    def _watch_rest(self) -> None:
        """Watch the coordinators that we know of and don't watch yet. What one that has gone by now had to say may have
        come after we last read its inbox. Raises CannotWatch."""
        for key, child in list(self._unwatched.items()):
            run = self.task.run(*key)
            if child:
                self._minders.watch_child(*key, child)
            elif run is not None and not run.settled and not self._minders.adopt(run, self.checkpoint):
                self._dead.append(Minder(*key, run.coordinator))
                self._inboxes.grown.add(run.process)
            del self._unwatched[key]
            self._life.tell_again()

    def _bury_dead(self, now: Now) -> None:
        """Their inboxes have been read to the end: what has no exit record by now never will have."""
        lost: dict[tuple[str, int], Run] = {}
        for minder in self._dead:
            run = self.task.run(*minder.key)
            if run is None or run.settled or minder.key in self._minders:
                continue
            if run.state is ProcessState.WAITING and self._respawns.was_stopped(minder.status):
                self.append(
                    Lost(
                        at=now.wall,
                        mono=now.mono,
                        process=run.process,
                        run=run.number,
                        reason="stopped before it began",
                    )
                )
            elif run.state is ProcessState.WAITING:
                hopeless = self._respawns.never_came(minder.key, minder.status, now)
                if hopeless:
                    self._setup_failed(run, "coordinator", 0, hopeless, now)
            else:
                lost[minder.key] = run
        unswept = [run for key, run in lost.items() if key not in self._swept]
        if unswept:
            self._swept |= sweep(unswept, self._kernel)
        for key, run in lost.items():
            rebooted = run.boot not in ("", self._kernel.boot_id())
            for record in records_of_end(run, self._swept.get(key, Swept()), rebooted, now):
                self.append(record)
        if lost:
            reap_orphans(self._asked_for(), self._kernel)
        self._dead.clear()
        self._swept.clear()

    def _asked_for(self) -> set[int]:
        """Pids whose exit status somebody will want."""
        loose = [*self.task.active.items(), *((n, i) for n, numbers in self.task.unsettled.items() for i in numbers)]
        runs = [run for key in loose if (run := self.task.run(*key)) is not None]
        return {*self._minders.pids(), *(run.pid for run in runs), *(run.coordinator for run in runs)}

    def _respawn_due(self, now: Now) -> None:
        """Begin again what was never begun."""
        for key in self._respawns:
            run = self.task.run(*key)
            if run is None or run.state is not ProcessState.WAITING:
                self._respawns.drop(key)
        for key in self._respawns.due(now):
            run = self.task.run(*key)
            if run is not None and key not in self._minders:
                self._spawn(run, now)
                self._respawns.spawned(key)
