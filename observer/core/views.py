"""What pages and the JSON API show: frozen values, already in the words and order in which they are shown.

The back end builds them (`build`, `timeline`, `listing` for tasks; `observer.files` for logs and directories); the
templates of `observer/ui` and `observer/routes` render them, and decide nothing. Everything that a task wrote
(names, commands, log lines, file names) is plain untrusted text here: escaping is the renderer's duty.

Units: `at` and `…_at` and `since` are wall seconds (0.0: not yet, not known), sizes bytes, cpu a rate in cores.
A task is addressed by its `ref`: the task id, or `id~root` when several roots have the id (`key` is always the long
form). A run is addressed by its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from thermos.core.doing import Doing


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd that people should know, one line: damage, a vanished sandbox, an unattended task."""

    text: str
    serious: bool = False


@dataclass(frozen=True, slots=True)
class Port:
    name: str
    number: int
    url: str  # http://host:number/


@dataclass(frozen=True, slots=True)
class UsageNow:
    """The newest figures; zeros when nothing runs or sampling is off. `disk` None: not known (yet)."""

    cpu: float = 0.0
    ram: int = 0
    disk: int | None = None
    user: float = 0.0
    system: float = 0.0
    rss: int = 0
    vms: int = 0
    nice: int = 0
    status: str = ""
    threads: int = 0
    procs: int = 0


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """One sample of a chart."""

    at: float
    cpu: float
    ram: int
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Processes of a task by what they do; they add up to `total`."""

    total: int = 0
    running: int = 0
    waiting: int = 0  # READY, BLOCKED, RETRY
    done: int = 0
    failed: int = 0
    other: int = 0  # IDLE, STOPPED


# --- index -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class IndexRow:
    key: str
    ref: str
    task_id: str
    root: str
    active: bool
    name: str = ""
    role: str = ""  # user the processes run as
    state: str = ""
    reason: str = ""
    state_since: float = 0.0
    launched_at: float = 0.0
    changed_at: float = 0.0  # mtime of the task's file: begun, or finished
    ports: tuple[Port, ...] = ()
    usage: UsageNow = UsageNow()
    counts: Counts = Counts()
    runs: int = 0
    failures: int = 0
    restarts: int = 0
    health: str = ""  # under Mesos, where there are health checks: healthy, starting, failing, unhealthy, snoozed
    notes: tuple[Note, ...] = ()


class Kind(StrEnum):
    """Which tasks a list shows."""

    ALL = "all"
    ACTIVE = "active"
    FINISHED = "finished"


class Sort(StrEnum):
    """How a list is ordered. Finished tasks know `changed` and `id` only: the rest would need all of them read."""

    CHANGED = "changed"  # newest first
    ID = "id"
    NAME = "name"
    STATE = "state"
    CPU = "cpu"  # biggest first
    RAM = "ram"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class IndexView:
    """One page of a list: `rows` are `offset` … of the `total` that match `query`."""

    kind: Kind
    rows: tuple[IndexRow, ...]
    total: int
    offset: int
    num: int
    query: str = ""
    sort: Sort = Sort.CHANGED
    reverse: bool = False
    active_count: int = 0  # of the host, whatever the query
    finished_count: int = 0
    notes: tuple[Note, ...] = ()
    at: float = 0.0

    @property
    def newer_offset(self) -> int | None:
        return max(0, self.offset - self.num) if self.offset > 0 else None

    @property
    def older_offset(self) -> int | None:
        return self.offset + self.num if self.offset + self.num < self.total else None


@dataclass(frozen=True, slots=True)
class HomeView:
    """The front page: both lists."""

    hostname: str
    active: IndexView
    finished: IndexView
    notes: tuple[Note, ...] = ()


# --- one task --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskHead:
    """What every page of a task says at its top."""

    key: str
    ref: str
    task_id: str
    name: str
    root: str
    active: bool
    state: str
    state_since: float
    reason: str = ""
    hostname: str = ""
    user: str = ""
    launched_at: float = 0.0
    ended_at: float = 0.0


@dataclass(frozen=True, slots=True)
class StateEntry:
    """The task was in `state` from `at` to `until` (0: still)."""

    state: str
    at: float
    until: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a stop did to a run, in words; `left`/`killed`/`daemons`/`refused` are `comm (pid)` lists, bounded."""

    process: str
    run: int
    at: float
    words: str
    killed: tuple[str, ...] = ()
    daemons: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRow:
    number: int
    state: str
    ending: str  # how it ended in words: "exit code 3", "killed by SIGKILL (signal 9)"; "" while it runs or well
    code: int | None
    signal: int | None
    starting_at: float
    started_at: float
    ended_at: float
    seconds: float | None  # how long it took, or takes
    pid: int = 0
    user: float = 0.0  # CPU seconds, known after its end
    system: float = 0.0
    maxrss: int = 0
    daemons: int = 0
    damaged: bool = False
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as it stands; `last` is its newest run."""

    name: str
    doing: Doing
    state: str  # of the last run, WAITING before the first
    note: str  # why it waits, how it ended
    level: int = 0
    final: bool = False
    daemon: bool = False
    ephemeral: bool = False
    critical: bool = False  # on the critical path
    runs: int = 0
    successes: int = 0
    failures: int = 0
    kills: int = 0
    losses: int = 0
    restarts: int = 0
    max_failures: int = 1
    last: RunRow | None = None
    usage: UsageNow = UsageNow()


@dataclass(frozen=True, slots=True)
class GraphEdge:
    before: str
    after: str
    critical: bool = False


@dataclass(frozen=True, slots=True)
class GraphView:
    """Process names by level, regular ones and final ones in levels of their own; and who waits for whom."""

    levels: tuple[tuple[str, ...], ...] = ()
    final_levels: tuple[tuple[str, ...], ...] = ()
    edges: tuple[GraphEdge, ...] = ()


@dataclass(frozen=True, slots=True)
class Bar:
    """One run on the timeline; `end` is `now` (or the moment looked at) while it runs."""

    process: str
    run: int
    state: str
    begin: float
    end: float
    running: bool = False
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Timeline:
    """All bars in the order of the process rows; `phases` are the states of the task between begin and end."""

    begin: float = 0.0
    end: float = 0.0
    bars: tuple[Bar, ...] = ()
    phases: tuple[StateEntry, ...] = ()
    critical_path: tuple[str, ...] = ()  # process names, first to last: what made the task take this long
    left_out: int = 0  # older runs that are not among the bars


@dataclass(frozen=True, slots=True)
class Moment:
    """Time travel: the page shows the fold of the first `position` of `total` records. `stops` are positions worth a
    tick on the slider, with what happened there, bounded and evenly thinned."""

    position: int
    total: int
    at: float
    words: str
    earlier: int | None = None  # positions for the links
    later: int | None = None
    live: bool = False  # nothing asked for: the page shows now
    begin: float = 0.0
    end: float = 0.0
    stops: tuple[tuple[int, float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    cpu: float
    ram: int
    disk: int
    gpu: int = 0


@dataclass(frozen=True, slots=True)
class HealthView:
    """What the executor's health checks say; `word` in short, as in lists."""

    word: str
    verdict: str  # starting, running, unhealthy
    reason: str = ""  # why it is unhealthy
    checked: bool = True  # False: the job has no health check
    hanging: bool = False  # the last one has not come back yet
    attempts: int = 0
    failures: int = 0  # in a row, those that count
    last_at: float = 0.0
    last_took: float | None = None
    last_result: str = ""
    snoozed_since: float = 0.0
    snoozed_until: float = 0.0
    checks: int = 0  # since the task began
    failed: int = 0
    timed_out: int = 0
    latency: float = 0.0  # seconds of all checks together


@dataclass(frozen=True, slots=True)
class AnnouncedView:
    """Is the task in ZooKeeper? If not, `state`, `held_back` and `problem` say why."""

    announced: bool
    state: str
    since: float = 0.0
    path: str = ""
    node: str = ""
    held_back: bool = False  # until it is healthy
    problem: str = ""
    disconnected: float = 0.0  # seconds
    joined: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class DiskView:
    """The disk limit, and what the executor found last."""

    limit: int
    used: int | None = None
    at: float = 0.0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ExecutorView:
    """Under Mesos: what the task's executor says of itself."""

    phase: str
    since: float = 0.0
    pid: int = 0
    outcome: str = ""  # the last status, once it is known: TASK_FINISHED, …
    message: str = ""
    health: HealthView | None = None
    announced: AnnouncedView | None = None
    disk: DiskView | None = None
    agent: str = ""  # subscribed, connecting, …
    agent_problem: str = ""
    unacknowledged: int = 0  # status updates that the framework has not acknowledged yet
    trouble: str = ""
    written_at: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskView:
    """The task page."""

    head: TaskHead
    attendance: str = ""  # attended, unattended, unknown; "" when terminal
    unattended_since: float = 0.0
    owner_pid: int = 0
    uid: int = 0
    sandbox: str = ""
    log_dir: str = ""
    chroot: bool = False
    ports: tuple[Port, ...] = ()
    resources: ResourceLimits | None = None
    max_failures: int = 1
    max_concurrency: int = 0
    finalization_wait: float = 30
    deadline_at: float = 0.0  # wall; while CLEANING until the kill, while FINALIZING until its end
    history: tuple[StateEntry, ...] = ()
    processes: tuple[ProcessRow, ...] = ()
    counts: Counts = Counts()
    graph: GraphView = GraphView()
    timeline: Timeline = Timeline()
    usage: UsageNow = UsageNow()
    chart: tuple[UsagePoint, ...] = ()
    receipts: tuple[Receipt, ...] = ()
    executor: ExecutorView | None = None  # None: not under Mesos, or nothing is known (a note says why)
    config: str = ""  # the task as pretty JSON
    moment: Moment | None = None
    notes: tuple[Note, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessView:
    """The process page: `runs` newest first."""

    head: TaskHead
    process: ProcessRow
    cmdline: str
    runs: tuple[RunRow, ...]
    runs_left_out: int = 0  # older runs whose details are gone
    min_duration: float = 5
    log_destination: str = "file"
    log_mode: str = "standard"
    waits_for: tuple[str, ...] = ()  # all its predecessors
    needed_by: tuple[str, ...] = ()
    usage: UsageNow = UsageNow()
    chart: tuple[UsagePoint, ...] = ()
    stderr_tail: tuple[str, ...] = ()  # last lines of the newest run
    notes: tuple[Note, ...] = ()
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class ConfigView:
    head: TaskHead
    text: str  # pretty JSON


# --- logs and files --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chunk:
    """A bounded part of a file, `text` decoded with replacement characters. `offset` + `length` (raw bytes) is where
    the next one begins. `inode` tells a follower that the file is another one now."""

    offset: int
    length: int
    size: int
    inode: int
    text: str

    @property
    def end(self) -> int:
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class LogPart:
    """One file of a log: part 0 is the one written to, part N the rotated `.N`; part 1 is the newest rotated one."""

    part: int
    size: int
    modified_at: float
    inode: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that matches a search."""

    part: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class SearchView:
    """Matches from the newest to the oldest; `next_part`/`next_offset` continue a search that was cut short."""

    query: str
    hits: tuple[Hit, ...]
    bytes_searched: int
    next_part: int | None = None
    next_offset: int | None = None


@dataclass(frozen=True, slots=True)
class LogView:
    """The log page. Links: older = (part, offset) of the page before, newer = of the page after; None at the ends."""

    head: TaskHead
    process: str
    run: int
    runs: tuple[int, ...]  # to switch to, newest first
    stream: str  # stdout or stderr
    parts: tuple[LogPart, ...]
    part: int
    chunk: Chunk | None  # None: there is no such file (yet, or any more)
    live: bool  # the run may still write
    older: tuple[int, int] | None = None
    newer: tuple[int, int] | None = None
    search: SearchView | None = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a directory listing. `kind`: file, directory, link, other; `opens`: may be viewed or entered."""

    name: str
    kind: str
    mode: str
    links: int
    user: str
    group: str
    size: int
    modified_at: float
    href: str = ""  # path below the sandbox, percent-encoded: goes behind /file/<ref>/, /browse/…, /download/…
    opens: bool = True
    target: str = ""  # of a link, as it is written


@dataclass(frozen=True, slots=True)
class DirectoryView:
    head: TaskHead
    path: str  # relative to the sandbox, "" for itself
    href: str  # the same, percent-encoded
    entries: tuple[Entry, ...]
    left_out: int = 0
    notes: tuple[Note, ...] = ()

    @property
    def parent(self) -> str | None:
        """The path above, percent-encoded; None for the sandbox itself."""
        return self.href.rpartition("/")[0] if self.href else None


@dataclass(frozen=True, slots=True)
class FileView:
    head: TaskHead
    path: str
    href: str  # the same, percent-encoded
    chunk: Chunk
    older: int | None = None  # offsets
    newer: int | None = None
    modified_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ErrorView:
    status: int
    title: str
    text: str
    ref: str = ""
