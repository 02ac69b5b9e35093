"""What people want of jobs: create them, add instances, kill and restart tasks.

Whoever asks is refused before anything has changed, or everything he asked for is in the turn. Instances that are to be
killed or restarted are looked at one by one: what does not apply to one (it is being killed already) is left out of the
answer, and is no refusal.

Source: spec/scheduler.md §5.3-§5.6. Mended: an empty list of instances kills nothing (the original took it for all).
"""

from __future__ import annotations

from collections.abc import Iterable

from scheduler.core.bounds import INT32, check_message
from scheduler.core.canonical import populated, populated_config
from scheduler.core.model import InstanceKey, JobConfiguration, JobKey, ScheduledTask, TaskConfig
from scheduler.core.states import ScheduleStatus
from scheduler.core.transitions import TABLE, Result
from scheduler.core.update_diff import diff_instances
from scheduler.core.validation import check_job, check_update, instance_count_text
from scheduler.service.config_groups import ConfigGroup, config_groups
from scheduler.service.context import Context, Told
from scheduler.service.refusals import already_exists, invalid, job_updating, not_found, refuse_problems
from scheduler.turn import Turn

NO_CRON = "Cron jobs may only be created/updated by calling scheduleCronJob."
NO_CRON_INSTANCES = "Instances may not be added to cron jobs."
NOT_ACTIVE = "No active task found for a given instance ID"
NOT_ALL_ACTIVE = "Not all requested shards are active."
NOTHING_TO_KILL = "No tasks to kill."


class JobCreated(Told, frozen=True):
    key: JobKey
    instances: tuple[int, ...]
    url: str


class InstancesAdded(Told, frozen=True):
    key: JobKey
    instances: tuple[int, ...]


class TasksKilled(Told, frozen=True):
    """What is being killed now; tasks without an agent are gone already. `message` says so if there is nothing."""

    key: JobKey
    instances: tuple[int, ...]
    task_ids: tuple[str, ...]
    message: str


class InstancesRestarted(Told, frozen=True):
    """What is being restarted; a task that has not started yet needs no restart, one that is being killed has none."""

    key: JobKey
    instances: tuple[int, ...]


class JobDiff(Told, frozen=True):
    """What an update would do: instances with the configuration they get (`add`), or have."""

    add: tuple[ConfigGroup, ...]
    remove: tuple[ConfigGroup, ...]
    update: tuple[ConfigGroup, ...]
    unchanged: tuple[ConfigGroup, ...]


# --- configurations ----------------------------------------------------------------------------------------------


def populate(context: Context, job: JobConfiguration) -> JobConfiguration:
    """As it would be taken. Raises Refusal with all problems."""
    refuse_problems(check_job(job, context.rules))
    return populated(job, context.rules)


def populate_config(context: Context, config: TaskConfig, instance_count: int) -> TaskConfig:
    """As an update would take it. Raises Refusal with all problems."""
    refuse_problems(check_update(config, instance_count, context.rules))
    return populated_config(config, context.rules)


def diff(context: Context, config: TaskConfig, instance_count: int, only: Iterable[int] | None = None) -> JobDiff:
    """Changes nothing. `only` None: all instances. Raises Refusal for a configuration that would not be taken."""
    wanted = populate_config(context, config, instance_count)
    tasks = context.tables.tasks.active_of_job(wanted.job)
    current = {task.assigned_task.instance_id: task.config for task in tasks}
    found = diff_instances(current, wanted, instance_count, frozenset(only) if only is not None else None)

    def now(instances: Iterable[int]) -> tuple[ConfigGroup, ...]:
        return config_groups({instance: current[instance] for instance in instances})

    return JobDiff(
        add=config_groups(dict.fromkeys(found.add, wanted)),
        remove=now(found.remove),
        update=now(found.replace),
        unchanged=now(found.unchanged),
    )


# --- wishes ------------------------------------------------------------------------------------------------------


def create_job(context: Context, turn: Turn, job: JobConfiguration, who: str) -> JobCreated:
    """All its instances, PENDING. Raises Refusal."""
    job = populate(context, job)
    if job.cron_schedule is not None:
        raise invalid(NO_CRON)
    _check_not_updating(context, job.key)
    if job.key in context.tables.cron_jobs or any(context.tables.tasks.active_of_job(job.key)):
        raise already_exists(job.key)
    instances = tuple(range(job.instance_count))
    context.engine.insert(turn, job.task_config, instances)
    return JobCreated(key=job.key, instances=instances, url=context.settings.url_of(job.key))


def add_instances(context: Context, turn: Turn, instance: InstanceKey, count: int, who: str) -> InstancesAdded:
    """Behind the highest active one, with the configuration of `instance`; holes stay. Raises Refusal."""
    job, tables = instance.job_key, context.tables
    if count <= 0:
        raise invalid("Instance count must be positive.")
    if job in tables.cron_jobs:
        raise invalid(NO_CRON_INSTANCES)
    _check_not_updating(context, job)
    template = tables.tasks.active(instance)
    if template is None:
        raise not_found(f"{NOT_ACTIVE}: {instance}")
    active = [task.assigned_task.instance_id for task in tables.tasks.active_of_job(job)]
    if len(active) + count > context.rules.max_tasks_per_job:
        raise invalid(instance_count_text(context.rules))
    first = max(active) + 1
    if first + count - 1 > INT32:
        raise invalid(f"there is no number left for {count} instances above instance {first - 1}")
    instances = tuple(range(first, first + count))
    context.engine.insert(turn, template.config, instances)
    return InstancesAdded(key=job, instances=instances)


def kill_tasks(
    context: Context, turn: Turn, job: JobKey, instances: frozenset[int] | None, who: str, message: str = ""
) -> TasksKilled:
    """`instances` None: all. Killed tasks are not replaced. Raises Refusal."""
    refuse_problems(list(check_message(message)))
    if instances is not None and not instances:
        raise invalid("there are no instances in the list; to kill all instances give no list")
    _check_not_updating(context, job)
    text = f"Killed by {who}" + (f".\n{message}" if message else "")
    killed = _change(context, turn, _active(context, job, instances), ScheduleStatus.KILLING, text)
    return TasksKilled(
        key=job,
        instances=_numbers(killed),
        task_ids=tuple(task.id for task in killed),
        message="" if killed else NOTHING_TO_KILL,
    )


def restart(context: Context, turn: Turn, job: JobKey, instances: frozenset[int], who: str) -> InstancesRestarted:
    """Each is killed and replaced by one with the same configuration. Raises Refusal."""
    if not instances:
        raise invalid("there are no instances in the list; say which are to be restarted")
    _check_not_updating(context, job)
    tasks = _active(context, job, instances)
    if len(tasks) != len(instances):
        raise invalid(NOT_ALL_ACTIVE)
    restarted = _change(context, turn, tasks, ScheduleStatus.RESTARTING, f"Restarted by {who}")
    return InstancesRestarted(key=job, instances=_numbers(restarted))


# --- parts of them -----------------------------------------------------------------------------------------------


def _check_not_updating(context: Context, job: JobKey) -> None:
    if context.tables.updates.active(job) is not None:
        raise job_updating()


def _active(context: Context, job: JobKey, instances: frozenset[int] | None) -> list[ScheduledTask]:
    """By instance."""
    tasks = context.tables.tasks
    if instances is None:
        found = list(tasks.active_of_job(job))
    else:
        keys = (InstanceKey(job_key=job, instance_id=instance) for instance in instances)
        found = [task for key in keys if (task := tasks.active(key)) is not None]
    return sorted(found, key=lambda task: task.assigned_task.instance_id)


def _change(
    context: Context, turn: Turn, tasks: Iterable[ScheduledTask], to: ScheduleStatus, message: str
) -> list[ScheduledTask]:
    """Those that did. Where the table has no such change nothing is tried."""
    able = [task for task in tasks if (task.status, to) in TABLE]
    return [task for task in able if context.engine.change(turn, task.id, to, message) is Result.SUCCESS]


def _numbers(tasks: Iterable[ScheduledTask]) -> tuple[int, ...]:
    return tuple(task.assigned_task.instance_id for task in tasks)
