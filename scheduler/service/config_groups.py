"""Instances with the same configuration, as they are told: the configuration once, the instances as ranges.

Source: spec/scheduler.md §1.5.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.model import TaskConfig
from scheduler.core.update_diff import grouped
from scheduler.service.context import Told


class ConfigGroup(Told, frozen=True):
    """`instances`: (first, last) of each range."""

    config: TaskConfig
    instances: tuple[tuple[int, int], ...]


def config_groups(configs: Mapping[int, TaskConfig]) -> tuple[ConfigGroup, ...]:
    """The group of the lowest instance first."""
    return tuple(
        ConfigGroup(config=group.task, instances=tuple((each.first, each.last) for each in group.instances))
        for group in grouped(configs)
    )
