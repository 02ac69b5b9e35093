"""A small world of jobs, hosts and updates, and any operations in it."""

from __future__ import annotations

from hypothesis import strategies as st

from scheduler.core.answers import Answer
from scheduler.core.cluster_model import Attribute, HostAttributes, HostMaintenanceRequest, ResourceAggregate
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import (
    AssignedTask,
    CountSlaPolicy,
    ExecutorConfig,
    Identity,
    JobConfiguration,
    JobKey,
    Resource,
    ScheduledTask,
    SlaPolicy,
    TaskConfig,
    TaskEvent,
)
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import (
    InstanceRange,
    InstanceTaskConfig,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateAction,
    JobUpdateEvent,
    JobUpdateInstructions,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateStatus,
    JobUpdateSummary,
)
from scheduler.store import ops
from scheduler.store.ops import Op

JOBS = [JobKey(role=r, environment=e, name=n) for r in ("www", "db") for e in ("prod", "test") for n in ("a", "b")]
HOSTS = ["h1", "h2", "h3"]
STORED = [status for status in ScheduleStatus if status is not ScheduleStatus.DELETED]


def config_of(job: JobKey, variant: int = 0) -> TaskConfig:
    """A new object each time."""
    return TaskConfig(
        job=job,
        owner=Identity(user="u"),
        is_service=True,
        tier="preferred",
        resources=(Resource(num_cpus=0.1 + variant), Resource(ram_mb=64), Resource(named_port="http")),
        executor_config=ExecutorConfig(name="AuroraExecutor", data="{}" * 10),
        task_links={"http": "x", "b": "y"} if variant % 2 else {"b": "y", "http": "x"},
    )


def task_of(
    task_id: str,
    job: JobKey = JOBS[0],
    instance: int = 0,
    status: ScheduleStatus = ScheduleStatus.PENDING,
    host: str = "",
    variant: int = 0,
    events: int = 1,
) -> ScheduledTask:
    return ScheduledTask(
        assigned_task=AssignedTask(
            task_id=task_id,
            task=config_of(job, variant),
            instance_id=instance,
            slave_id=f"agent-{host}" if host else "",
            slave_host=host,
            assigned_ports={"http": 31000} if host else {},
        ),
        status=status,
        failure_count=variant,
        task_events=tuple(TaskEvent(timestamp=1000 + i, status=status, message="m") for i in range(events)),
        ancestor_id="before" if variant else None,
    )


def update_key(job: JobKey, number: int) -> JobUpdateKey:
    return JobUpdateKey(job=job, id=f"u{number}")


def update_of(key: JobUpdateKey, user: str = "u") -> JobUpdate:
    wanted = InstanceTaskConfig(task=config_of(key.job), instances=(InstanceRange(first=0, last=3),))
    return JobUpdate(
        summary=JobUpdateSummary(key=key, user=user),
        instructions=JobUpdateInstructions(settings=JobUpdateSettings(), desired_state=wanted),
    )


job_keys = st.sampled_from(JOBS)
hosts = st.sampled_from(HOSTS)
task_ids = st.integers(0, 11).map(lambda n: f"t{n}")
update_keys = st.builds(update_key, job_keys, st.integers(0, 1))
tasks = st.builds(
    task_of,
    task_ids,
    job_keys,
    st.integers(0, 3),
    st.sampled_from(STORED),
    st.sampled_from(["", *HOSTS]),
    st.integers(0, 2),
    st.integers(0, 3),
)
update_events = st.builds(
    JobUpdateEvent, status=st.sampled_from(JobUpdateStatus), timestamp_ms=st.integers(0, 50), message=st.none()
)
instance_events = st.builds(
    JobInstanceUpdateEvent,
    instance_id=st.integers(0, 3),
    timestamp_ms=st.integers(0, 50),
    action=st.sampled_from(JobUpdateAction),
    message=st.none() | st.just("m"),
)
attributes = st.builds(
    HostAttributes,
    host=hosts,
    attributes=st.just((Attribute(name="rack", values=("r1",)),)),
    mode=st.sampled_from(MaintenanceMode),
    slave_id=st.just("agent"),
)
requests = st.builds(
    HostMaintenanceRequest,
    host=hosts,
    default_sla_policy=st.just(SlaPolicy(count_sla_policy=CountSlaPolicy(count=1, duration_secs=2))),
    timeout_secs=st.integers(0, 9),
)
cron_jobs = st.builds(
    lambda key, count: JobConfiguration(
        key=key, task_config=config_of(key), cron_schedule="* * * * *", instance_count=count
    ),
    job_keys,
    st.integers(1, 3),
)

answers = st.builds(
    Answer,
    key=st.sampled_from(["k1", "k2", "k3"]),
    digest=st.sampled_from([b"d", b"\xff"]),
    at=st.integers(0, 50),
    body=st.binary(max_size=8),
)

any_op: st.SearchStrategy[Op] = st.one_of(
    st.builds(ops.SaveTasks, tasks=st.lists(tasks, max_size=4).map(tuple)),
    st.builds(ops.SaveTasks, tasks=st.lists(tasks, max_size=4).map(tuple)),
    st.builds(ops.DeleteTasks, task_ids=st.lists(task_ids, max_size=3).map(tuple)),
    st.builds(ops.SaveFrameworkId, framework_id=st.sampled_from(["f1", "f2", None])),
    st.builds(ops.SaveCronJob, job=cron_jobs),
    st.builds(ops.DeleteCronJob, key=job_keys),
    st.builds(
        ops.SaveQuota, role=st.just("www"), quota=st.just(ResourceAggregate(resources=(Resource(num_cpus=1.0),)))
    ),
    st.builds(ops.DeleteQuota, role=st.just("www")),
    st.builds(ops.SaveHostAttributes, attributes=attributes),
    st.builds(ops.DeleteHostAttributes, host=hosts),
    st.builds(ops.SaveMaintenanceRequest, request=requests),
    st.builds(ops.DeleteMaintenanceRequest, host=hosts),
    st.builds(ops.SaveJobUpdate, update=st.builds(update_of, update_keys, st.sampled_from(["u", "v"]))),
    st.builds(ops.SaveJobUpdateEvents, key=update_keys, events=st.lists(update_events, max_size=2).map(tuple)),
    st.builds(ops.SaveInstanceUpdateEvents, key=update_keys, events=st.lists(instance_events, max_size=2).map(tuple)),
    st.builds(ops.DeleteJobUpdates, keys=st.lists(update_keys, max_size=2).map(tuple)),
    st.builds(ops.SaveAnswer, answer=answers),
    st.builds(ops.DeleteAnswers, keys=st.lists(st.sampled_from(["k1", "k2", "k3"]), max_size=2).map(tuple)),
)
any_ops = st.lists(any_op, max_size=25)
