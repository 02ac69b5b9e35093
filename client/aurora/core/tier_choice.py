"""The tier of a job that says `production = True` and no tier, as old configs do. Pure.

Source: spec/scheduler.md §1.9, §11.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.aurora.core.answers import Tier
from thermos.errors import UserError

#: What such a tier is called, unless the cluster calls it otherwise.
USUAL = "preferred"


def needs_tier(configuration: Mapping[str, Any]) -> bool:
    """Of a JobConfiguration."""
    config = configuration["taskConfig"]
    return config.get("production") is True and config.get("tier") is None


def production_tier(tiers: Mapping[str, Tier]) -> str:
    """A tier whose tasks nobody may push aside. Raises UserError: this cluster has none."""
    found = [name for name, tier in tiers.items() if tier.preemptible is False and tier.revocable is False]
    if not found:
        raise UserError("this cluster has no tier for production jobs; leave `production` out, or say which tier")
    return USUAL if USUAL in found else min(found)


def with_tier(configuration: Mapping[str, Any], tier: str) -> dict[str, Any]:
    return {**configuration, "taskConfig": {**configuration["taskConfig"], "tier": tier}}
