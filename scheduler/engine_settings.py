"""What the operator decides about the engine, each part with the rules of the module that keeps to it.

Source: spec/scheduler.md §12 (values by default).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.core.executors import LaunchSettings
from scheduler.core.groups import GroupRules
from scheduler.core.offers import OfferRules
from scheduler.core.prune import PruneRules
from scheduler.core.reconcile import ReconciliationRules
from scheduler.core.refusals import RefusalRules
from scheduler.core.reschedule import FlappingRules
from scheduler.core.timeouts import TimeoutRules
from scheduler.update_rules import UpdateRules


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """`scheduler_name` stands in the events of tasks; after a start every group of tasks waits up to
    `startup_delay_s`, by chance."""

    launch: LaunchSettings
    offers: OfferRules = field(default=OfferRules())
    groups: GroupRules = field(default=GroupRules())
    flapping: FlappingRules = field(default=FlappingRules())
    refusals: RefusalRules = field(default=RefusalRules())
    timeouts: TimeoutRules = field(default=TimeoutRules())
    reconciliation: ReconciliationRules = field(default=ReconciliationRules())
    pruning: PruneRules = field(default=PruneRules())
    updates: UpdateRules = field(default=UpdateRules())
    scheduler_name: str = ""
    startup_delay_s: float = 30.0
