"""What would change if a job's instances were to be as somebody wants them, instance by instance; and the instructions
of an update that does it.

The configuration of the active task counts, compared as a whole. Instances outside of `only` are left alone, and are
in none of the four lists.

Source: spec/scheduler.md §4.2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from scheduler.core.groups import group_key
from scheduler.core.model import TaskConfig
from scheduler.core.update_model import InstanceRange, InstanceTaskConfig, JobUpdateInstructions, JobUpdateSettings


@dataclass(frozen=True, slots=True)
class InstanceDiff:
    """Sorted; every instance is in one list at most."""

    add: tuple[int, ...] = ()
    replace: tuple[int, ...] = ()
    remove: tuple[int, ...] = ()
    unchanged: tuple[int, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.add or self.replace or self.remove)


def diff_instances(
    current: Mapping[int, TaskConfig], wanted: TaskConfig, count: int, only: Collection[int] | None = None
) -> InstanceDiff:
    """`current`: the configuration of each instance that has an active task; `only` None: all instances."""
    asked = range(count)
    there = sorted(instance for instance in current if only is None or instance in only)
    replaced = [instance for instance in there if instance in asked and not same(current[instance], wanted)]
    changed = set(replaced)
    return InstanceDiff(
        add=tuple(i for i in (asked if only is None else sorted(only)) if i in asked and i not in current),
        replace=tuple(replaced),
        remove=tuple(instance for instance in there if instance not in asked),
        unchanged=tuple(instance for instance in there if instance in asked and instance not in changed),
    )


def same(one: TaskConfig | None, other: TaskConfig | None) -> bool:
    """Equal; tasks of one configuration share the object, which is quickly seen."""
    return one is other or one == other


def instructions_of(
    diff: InstanceDiff, current: Mapping[int, TaskConfig], wanted: TaskConfig, settings: JobUpdateSettings
) -> JobUpdateInstructions:
    """What is left as it is, is not part of them."""
    placed = sorted((*diff.add, *diff.replace))
    return JobUpdateInstructions(
        settings=settings,
        initial_state=grouped({instance: current[instance] for instance in (*diff.replace, *diff.remove)}),
        desired_state=InstanceTaskConfig(task=wanted, instances=ranges_of(placed)) if placed else None,
    )


# -- instances and ranges of them


def grouped(configs: Mapping[int, TaskConfig]) -> tuple[InstanceTaskConfig, ...]:
    """Instances with the same configuration together, by their lowest instance."""
    groups: dict[bytes, tuple[TaskConfig, list[int]]] = {}
    keys: dict[int, bytes] = {}
    for instance in sorted(configs):
        config = configs[instance]
        if id(config) not in keys:
            keys[id(config)] = group_key(config)
        groups.setdefault(keys[id(config)], (config, []))[1].append(instance)
    return tuple(InstanceTaskConfig(task=config, instances=ranges_of(ids)) for config, ids in groups.values())


def configs_of(groups: Iterable[InstanceTaskConfig]) -> dict[int, TaskConfig]:
    """Instance -> its configuration."""
    return {instance: group.task for group in groups for instance in ids_of(group.instances)}


def ranges_of(instances: Iterable[int]) -> tuple[InstanceRange, ...]:
    """0, 1, 2, 5 -> 0-2, 5-5."""
    ranges: list[InstanceRange] = []
    first = last = None
    for instance in sorted(set(instances)):
        if first is None or last is None:
            first = instance
        elif instance != last + 1:
            ranges.append(InstanceRange(first=first, last=last))
            first = instance
        last = instance
    if first is not None and last is not None:
        ranges.append(InstanceRange(first=first, last=last))
    return tuple(ranges)


def ids_of(ranges: Iterable[InstanceRange]) -> Iterator[int]:
    for each in ranges:
        yield from range(each.first, each.last + 1)
