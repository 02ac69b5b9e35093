"""What pages show, as frozen data. Moments are wall seconds, sizes bytes, 0 stands for never.

Every view of a whole page has `at`, the moment at which it was true.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.core.model import InstanceKey, JobKey
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobUpdateKey, JobUpdateStatus
from scheduler.service.cluster_queries import RoleQuota, TierTable
from scheduler.service.job_queries import JobStats, JobSummary
from scheduler.service.why import NO_OFFER, WhyAnswer, WhyHost
from scheduler.ui.core.config_text import DiffLine, Resources
from scheduler.ui.core.here import Here
from scheduler.ui.core.listing import Listing
from scheduler.ui.core.samples import Sample
from scheduler.ui.core.update_grid import Band, Cell

# --- lists of jobs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RoleRow:
    """`stats`: of all its jobs."""

    role: str
    jobs: int
    cron_jobs: int
    stats: JobStats


@dataclass(frozen=True, slots=True)
class HomeView:
    """`jobs`: that match what is searched for, some of `jobs_total`. `updating`: jobs in an update. `connected`: the
    master knows us."""

    roles: Listing[RoleRow]
    jobs: tuple[JobSummary, ...]
    jobs_total: int
    tasks: tuple[tuple[ScheduleStatus, int], ...]
    updating: int
    connected: bool
    at: float


@dataclass(frozen=True, slots=True)
class RoleView:
    """`environment` "": all of them. `environments`: with the number of their jobs."""

    role: str
    environment: str
    environments: tuple[tuple[str, int], ...]
    jobs: Listing[JobSummary]
    at: float


# --- a job -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Event:
    at: float
    status: str
    message: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """`note`: the last message, or why it waits. `observer`: the address of its page on its host."""

    id: str
    key: InstanceKey
    status: ScheduleStatus
    since: float
    began: float
    note: str
    host: str
    observer: str
    events: tuple[Event, ...]
    is_active: bool
    ran_s: float | None


@dataclass(frozen=True, slots=True)
class ConfigRow:
    """A configuration, and which instances have it. `text`: whole."""

    instances: str
    first: int
    resources: Resources
    tier: str
    is_service: bool
    facts: tuple[tuple[str, str], ...]
    text: str

    @property
    def is_long(self) -> bool:
        """Not to be sent with everything else again and again."""
        return len(self.text) > 20_000


@dataclass(frozen=True, slots=True)
class UpdateRow:
    key: JobUpdateKey
    user: str
    status: JobUpdateStatus
    created: float
    modified: float
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class JobView:
    """`tabs`: (name, words, count). `statuses`: how many tasks of the tab are in each. `groups_left_out`: of the
    configurations."""

    summary: JobSummary
    tab: str
    tabs: tuple[tuple[str, str, int], ...]
    statuses: tuple[tuple[ScheduleStatus, int], ...]
    status: str
    tasks: Listing[TaskRow]
    configs: tuple[ConfigRow, ...]
    groups_left_out: int
    schedule: tuple[tuple[str, str], ...]
    updates: tuple[UpdateRow, ...]
    active_update: UpdateRow | None
    at: float

    @property
    def key(self) -> JobKey:
        return self.summary.key


@dataclass(frozen=True, slots=True)
class ConfigsView:
    """`left` and `right`: numbers of the two that are compared."""

    key: JobKey
    configs: tuple[ConfigRow, ...]
    left: int
    right: int
    diff: tuple[DiffLine, ...]
    here: Here
    at: float


# --- an instance, a task ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TaskPanel:
    """`links`: (name, address) of what it serves. `neighbours`: instances on the same host;
    `more_neighbours`: that are left out."""

    row: TaskRow
    ports: tuple[tuple[str, int], ...]
    links: tuple[tuple[str, str], ...]
    config: ConfigRow
    failures: int
    ancestor: str
    neighbours: tuple[InstanceKey, ...]
    more_neighbours: int


@dataclass(frozen=True, slots=True)
class WhyView:
    """`reasons`: columns. `more`: the address with more hosts, `most` of them, or ""."""

    answer: WhyAnswer
    reasons: tuple[str, ...]
    more: str = ""
    most: int = 0

    def offer_age_s(self, host: WhyHost) -> float | None:
        """None: it offers nothing."""
        return None if NO_OFFER in host.reasons else host.age_s


@dataclass(frozen=True, slots=True)
class InstanceView:
    key: InstanceKey
    active: TaskPanel | None
    why: WhyView | None
    history: Listing[TaskRow]
    at: float


@dataclass(frozen=True, slots=True)
class TaskView:
    key: JobKey
    task_id: str
    panel: TaskPanel
    why: WhyView | None
    at: float


# --- updates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UpdatesView:
    """`active`: those that are not over, without those that were left out."""

    active: tuple[UpdateRow, ...]
    active_left_out: int
    ended: Listing[UpdateRow]
    at: float


@dataclass(frozen=True, slots=True)
class WaitRow:
    """`instance` None: the update as a whole. `since` and `until`: 0 if nobody knows."""

    instance: int | None
    text: str
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class HealthRow:
    """The active tasks of one side of an update, by status, and how often tasks of it have failed meanwhile."""

    words: str
    statuses: tuple[tuple[ScheduleStatus, int], ...]
    running: int
    total: int
    failed: int


@dataclass(frozen=True, slots=True)
class InstanceEvent:
    instance: int
    at: float
    action: str
    message: str


@dataclass(frozen=True, slots=True)
class UpdateView:
    """`batches`: groups of cells in the order in which they are taken, if there are batches, and not too many."""

    row: UpdateRow
    title: str
    is_over: bool
    cells: tuple[Cell, ...]
    batches: tuple[tuple[Cell, ...], ...]
    batch_count: int
    bands: tuple[Band, ...]
    events: tuple[Event, ...]
    instance_events: Listing[InstanceEvent]
    settings: tuple[tuple[str, str], ...]
    metadata: tuple[tuple[str, str], ...]
    waits: tuple[WaitRow, ...]
    health: tuple[HealthRow, ...]
    befores: tuple[ConfigRow, ...]
    after: ConfigRow | None
    left: int
    diff: tuple[DiffLine, ...]
    at: float


# --- the cluster -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Measure:
    """Of one kind of resource on a host: what tasks have, and what is offered now; None: nobody knows what is free."""

    used: float
    free: float | None

    @property
    def total(self) -> float | None:
        return None if self.free is None else self.used + self.free

    @property
    def share(self) -> float:
        return self.used / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class HostRow:
    """`offer_age_s` None: nothing is offered. `away`: when an announced absence begins."""

    host: str
    agent: str
    mode: str
    attributes: tuple[tuple[str, str], ...]
    cpus: Measure
    ram: Measure
    disk: Measure
    tasks: int
    offer_age_s: float | None
    away: float
    observer: str


@dataclass(frozen=True, slots=True)
class ClusterView:
    """`modes`: how many hosts are in each."""

    facts: tuple[tuple[str, str], ...]
    tasks: tuple[tuple[ScheduleStatus, int], ...]
    modes: tuple[tuple[str, int], ...]
    mode: str
    hosts: Listing[HostRow]
    samples: tuple[Sample, ...]
    at: float


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A group of tasks of one configuration. `next_s` None: nobody knows."""

    key: JobKey
    instance: int
    count: int
    reason: str
    attempts: int
    since: float
    next_s: float | None
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class PendingView:
    """`throttled`: tasks that failed too soon, and wait before they are PENDING."""

    groups: Listing[PendingRow]
    tasks: int
    throttled: int
    offers: int
    at: float


@dataclass(frozen=True, slots=True)
class QuotaView:
    roles: Listing[RoleQuota]
    tiers: TierTable
    at: float


@dataclass(frozen=True, slots=True)
class ErrorView:
    status: int
    title: str
    detail: str
    at: float = field(default=0.0)


View = (
    HomeView | RoleView | JobView | ConfigsView | InstanceView | TaskView | UpdatesView | UpdateView | ClusterView
    | PendingView | QuotaView | ErrorView
)  # fmt: skip
