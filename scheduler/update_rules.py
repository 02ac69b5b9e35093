"""What the operator decides about updates, as far as the engine runs them.

Source: spec/scheduler.md §3.5, §4.7, §4.8, §12 (values by default).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.core.update_prune import UpdatePruneRules


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """`affinity`: an instance that is replaced starts again on its agent, which is kept for it for `affinity_hold_s`.
    `sla_retry_s`: a policy that did not allow something is asked again then, if nothing happened before;
    `sla_min_instances`, `sla_for_all_tiers`: whose policies mean something."""

    affinity: bool = False
    affinity_hold_s: float = 180.0
    sla_retry_s: float = 60.0
    sla_min_instances: int = 20
    sla_for_all_tiers: bool = False
    pruning: UpdatePruneRules = field(default=UpdatePruneRules())
