"""Executors as the operator sets them up, and what else of the operator's wishes goes into a launch.

A configuration names its executor (`AuroraExecutor` is Thermos). A Docker container may do without one; then nothing is
added to what the task wants.

Source: spec/scheduler.md §3.3, §3.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesos.core.messages import CommandInfo
from scheduler.core.allocate import Wanted
from scheduler.core.model import TaskConfig, Volume
from scheduler.core.resources import NOTHING, Amount, amount_of
from scheduler.core.tiers import BUILT_IN, Tiers

#: What the original's clients call Thermos.
THERMOS = "AuroraExecutor"
THERMOS_OVERHEAD = Amount(milli_cpus=250, ram_mb=128)


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How an executor is started, what it costs beside its task, and what its ids begin with."""

    name: str
    command: CommandInfo
    overhead: Amount = THERMOS_OVERHEAD
    prefix: str = "thermos-"
    mounts: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """`global_mounts` are for containers that are not Mesos' own."""

    cluster: str
    executors: Mapping[str, ExecutorSettings]
    tiers: Tiers = field(default=BUILT_IN)
    populate_discovery_info: bool = False
    global_mounts: tuple[Volume, ...] = ()

    def executor_of(self, config: TaskConfig) -> ExecutorSettings | None:
        """None: it runs without one, or its executor is gone from the settings (`wanted_of` tells these apart)."""
        return self.executors.get(config.executor_config.name) if config.executor_config is not None else None

    def wanted_of(self, config: TaskConfig) -> Wanted | None:
        """A port that is named twice is one port. None: its executor was configured once, and is not now."""
        executor = self.executor_of(config)
        if executor is None and config.executor_config is not None:
            return None
        names = tuple(dict.fromkeys(r.named_port for r in config.resources if r.named_port is not None))
        plain = amount_of(r for r in config.resources if r.named_port is None)
        return Wanted(
            task=plain.plus(Amount(ports=len(names))),
            overhead=executor.overhead if executor is not None else NOTHING,
            port_names=names,
            is_revocable=self.tiers.of(config.tier).revocable,
        )
