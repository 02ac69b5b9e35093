"""May this task run on that host? A pure question with a list of vetoes as its answer; an empty list is a yes.

The order is the original's: cheap and final refusals first. A dedicated host, a host in maintenance and a constraint
that is not met end the asking with one veto (values before limits); of resources everything that is missing is told.

Source: spec/scheduler.md §3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from scheduler.core import vetoes
from scheduler.core.model import DEDICATED, Constraint, JobKey, LimitConstraint, TaskConfig, ValueConstraint
from scheduler.core.resources import Amount, shortfalls
from scheduler.core.vetoes import Veto


class MaintenanceMode(StrEnum):
    NONE = "NONE"
    SCHEDULED = "SCHEDULED"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


@dataclass(frozen=True, slots=True)
class HostView:
    """What the filter sees of a host. `closed_from`: the wall moment from which on nothing is started there, if its
    absence is announced."""

    attributes: Mapping[str, frozenset[str]]
    there: Amount
    mode: MaintenanceMode = MaintenanceMode.NONE
    closed_from: float | None = None


class Counts(Protocol):
    """How many tasks of a job run on hosts with that value of an attribute."""

    def __call__(self, job: JobKey, attribute: str, value: str) -> int: ...


def filter_host(config: TaskConfig, wanted: Amount, host: HostView, counts: Counts, now_wall: float) -> list[Veto]:
    """All that speaks against it. `wanted` includes the executor's share."""
    if config.dedicated is None and DEDICATED in host.attributes:
        return [vetoes.HOST_IS_DEDICATED]
    mode = _mode(host, now_wall)
    if mode in (MaintenanceMode.DRAINING, MaintenanceMode.DRAINED):
        return [vetoes.maintenance(mode)]
    unmet = _unmet(config, host, counts)
    if unmet is not None:
        return [unmet]
    if host.there.holds(wanted):
        return []
    return [vetoes.insufficient(kind, missing) for kind, missing in shortfalls(wanted, host.there)]


def _mode(host: HostView, now_wall: float) -> MaintenanceMode:
    if host.mode is MaintenanceMode.DRAINED or host.closed_from is None or now_wall <= host.closed_from:
        return host.mode
    return MaintenanceMode.DRAINING


def _unmet(config: TaskConfig, host: HostView, counts: Counts) -> Veto | None:
    for constraint in config.constraints:
        value = constraint.constraint.value
        if value is not None and not value_fits(value, host.attributes.get(constraint.name, frozenset())):
            return vetoes.constraint_mismatch(constraint.name)
    for constraint in config.constraints:
        limit = constraint.constraint.limit
        if limit is not None:
            veto = _over_limit(config.job, constraint, limit, host, counts)
            if veto is not None:
                return veto
    return None


def value_fits(constraint: ValueConstraint, found: frozenset[str]) -> bool:
    """A host without the attribute has none of the values."""
    return any(value in found for value in constraint.values) is not constraint.negated


def _over_limit(
    job: JobKey, constraint: Constraint, limit: LimitConstraint, host: HostView, counts: Counts
) -> Veto | None:
    """A host without the attribute can't be counted: it is a mismatch."""
    values = host.attributes.get(constraint.name)
    if not values:
        return vetoes.constraint_mismatch(constraint.name)
    if any(counts(job, constraint.name, value) >= limit.limit for value in values):
        return vetoes.limit_not_satisfied(constraint.name)
    return None
