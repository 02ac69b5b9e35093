"""Job updates as they are stored and sent: what shall become of a job, how, and what happened so far.

The state of an update is not stored by itself: it follows from its events (the last one's status, the first and the
last moment), so that it can never say anything else than its history.

Source: spec/scheduler.md §1.7, §1.8.
"""

from __future__ import annotations

from enum import StrEnum

from scheduler.core.model import JobKey, Metadata, TaskConfig, Wire


class JobUpdateStatus(StrEnum):
    ROLLING_FORWARD = "ROLLING_FORWARD"
    ROLLING_BACK = "ROLLING_BACK"
    ROLL_FORWARD_PAUSED = "ROLL_FORWARD_PAUSED"
    ROLL_BACK_PAUSED = "ROLL_BACK_PAUSED"
    ROLLED_FORWARD = "ROLLED_FORWARD"
    ROLLED_BACK = "ROLLED_BACK"
    ABORTED = "ABORTED"
    ERROR = "ERROR"
    FAILED = "FAILED"
    ROLL_FORWARD_AWAITING_PULSE = "ROLL_FORWARD_AWAITING_PULSE"
    ROLL_BACK_AWAITING_PULSE = "ROLL_BACK_AWAITING_PULSE"


#: Nothing changes any more.
UPDATE_ENDED: frozenset[JobUpdateStatus] = frozenset(
    {
        JobUpdateStatus.ROLLED_FORWARD,
        JobUpdateStatus.ROLLED_BACK,
        JobUpdateStatus.ABORTED,
        JobUpdateStatus.ERROR,
        JobUpdateStatus.FAILED,
    }
)

#: A job has at most one update in one of these.
UPDATE_ACTIVE: frozenset[JobUpdateStatus] = frozenset(JobUpdateStatus) - UPDATE_ENDED


class JobUpdateAction(StrEnum):
    INSTANCE_UPDATED = "INSTANCE_UPDATED"
    INSTANCE_ROLLED_BACK = "INSTANCE_ROLLED_BACK"
    INSTANCE_UPDATING = "INSTANCE_UPDATING"
    INSTANCE_ROLLING_BACK = "INSTANCE_ROLLING_BACK"
    INSTANCE_UPDATE_FAILED = "INSTANCE_UPDATE_FAILED"
    INSTANCE_ROLLBACK_FAILED = "INSTANCE_ROLLBACK_FAILED"


class JobUpdateKey(Wire, frozen=True):
    """`id` is a uuid, made by the scheduler."""

    job: JobKey
    id: str

    def __str__(self) -> str:
        return f"{self.job} update {self.id}"


class InstanceRange(Wire, frozen=True):
    """Both ends belong to it."""

    first: int
    last: int


class QueueStrategy(Wire, frozen=True):
    """So many instances at once; the next one follows when one is done."""

    group_size: int = 1


class BatchStrategy(Wire, frozen=True):
    """A batch is done before the next one begins."""

    group_size: int = 1
    autopause_after_batch: bool = False


class VarBatchStrategy(Wire, frozen=True):
    """Batches of these sizes; the last size stays."""

    group_sizes: tuple[int, ...] = ()
    autopause_after_batch: bool = False


class UpdateStrategy(Wire, frozen=True):
    """A union."""

    queue_strategy: QueueStrategy | None = None
    batch_strategy: BatchStrategy | None = None
    var_batch_strategy: VarBatchStrategy | None = None


class JobUpdateSettings(Wire, frozen=True):
    """`update_group_size` and `wait_for_batch_completion` are the old way to say a strategy.

    `progress_deadline_ms`: an instance of which nothing was heard for so long fails the update, and it is aborted when
    there was no pulse for so long; 0: it is waited for.
    """

    update_group_size: int = 1
    max_per_instance_failures: int = 0
    max_failed_instances: int = 0
    min_wait_in_instance_running_ms: int = 0
    rollback_on_failure: bool = True
    update_only_these_instances: tuple[InstanceRange, ...] = ()
    wait_for_batch_completion: bool = False
    block_if_no_pulses_after_ms: int = 0
    sla_aware: bool = False
    update_strategy: UpdateStrategy | None = None
    progress_deadline_ms: int = 0


class JobUpdateRequest(Wire, frozen=True):
    """What somebody wants a job to be; `metadata` is kept with the update."""

    task_config: TaskConfig
    instance_count: int
    settings: JobUpdateSettings = JobUpdateSettings()
    metadata: tuple[Metadata, ...] = ()


class InstanceTaskConfig(Wire, frozen=True):
    """These instances have this configuration."""

    task: TaskConfig
    instances: tuple[InstanceRange, ...] = ()


class JobUpdateInstructions(Wire, frozen=True):
    """`initial_state`: what is replaced or removed."""

    settings: JobUpdateSettings
    initial_state: tuple[InstanceTaskConfig, ...] = ()
    desired_state: InstanceTaskConfig | None = None


class JobUpdateState(Wire, frozen=True):
    status: JobUpdateStatus = JobUpdateStatus.ROLLING_FORWARD
    created_timestamp_ms: int = 0
    last_modified_timestamp_ms: int = 0


class JobUpdateSummary(Wire, frozen=True):
    key: JobUpdateKey
    user: str
    state: JobUpdateState = JobUpdateState()
    metadata: tuple[Metadata, ...] = ()


class JobUpdate(Wire, frozen=True):
    summary: JobUpdateSummary
    instructions: JobUpdateInstructions


class JobUpdateEvent(Wire, frozen=True):
    status: JobUpdateStatus
    timestamp_ms: int
    user: str | None = None
    message: str | None = None


class JobInstanceUpdateEvent(Wire, frozen=True):
    instance_id: int
    timestamp_ms: int
    action: JobUpdateAction
    message: str | None = None


class JobUpdateDetails(Wire, frozen=True):
    update: JobUpdate
    update_events: tuple[JobUpdateEvent, ...] = ()
    instance_events: tuple[JobInstanceUpdateEvent, ...] = ()


class JobUpdateQuery(Wire, frozen=True):
    """All that is given must hold; what is empty asks for nothing."""

    role: str | None = None
    key: JobUpdateKey | None = None
    job_key: JobKey | None = None
    user: str | None = None
    update_statuses: frozenset[JobUpdateStatus] = frozenset()
    offset: int | None = None
    limit: int | None = None
