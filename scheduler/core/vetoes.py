"""Why a task can't run on a host: every refusal is a value with its text and weight, kept for `job why`.

Static vetoes hold as long as the offer does, dynamic ones depend on what else runs. The lighter the vetoes of a host
together, the nearer it is to a fit.

Source: spec/scheduler.md §3.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from scheduler.core.resources import ResourceType


class VetoType(Enum):
    """(weight, whether it is static)."""

    DEDICATED_MISMATCH = (1_000_000, True)
    MAINTENANCE = (100_000, True)
    CONSTRAINT_MISMATCH = (10_000, True)
    LIMIT_NOT_SATISFIED = (10_000, False)
    INSUFFICIENT_RESOURCES = (1_000, True)

    def __init__(self, weight: int, is_static: bool) -> None:
        self.weight = weight
        self.is_static = is_static


@dataclass(frozen=True, slots=True)
class Veto:
    kind: VetoType
    text: str
    score: int


class VetoGroup(Enum):
    STATIC = "static"
    DYNAMIC = "dynamic"
    MIXED = "mixed"


#: A host is kept for others.
HOST_IS_DEDICATED = Veto(VetoType.DEDICATED_MISMATCH, "Host is dedicated", VetoType.DEDICATED_MISMATCH.weight)


def maintenance(mode: str) -> Veto:
    """`mode` as people read it: draining, drained."""
    return Veto(VetoType.MAINTENANCE, f"Host {mode.lower()} for maintenance", VetoType.MAINTENANCE.weight)


def constraint_mismatch(name: str) -> Veto:
    kind = VetoType.CONSTRAINT_MISMATCH
    return Veto(kind, f"Constraint not satisfied: {name}", kind.weight)


def limit_not_satisfied(name: str) -> Veto:
    kind = VetoType.LIMIT_NOT_SATISFIED
    return Veto(kind, f"Limit not satisfied: {name}", kind.weight)


def insufficient(kind: ResourceType, missing: int) -> Veto:
    """`missing` in the type's own unit; the score says how much that is, at most the weight."""
    weight = VetoType.INSUFFICIENT_RESOURCES.weight
    score = min(weight, weight * missing // kind.scaling_range)
    return Veto(VetoType.INSUFFICIENT_RESOURCES, f"Insufficient: {kind.label}", score)


def group_of(vetoes: Iterable[Veto]) -> VetoGroup | None:
    """None: there is no veto."""
    kinds = {veto.kind.is_static for veto in vetoes}
    if not kinds:
        return None
    if len(kinds) == 2:
        return VetoGroup.MIXED
    return VetoGroup.STATIC if True in kinds else VetoGroup.DYNAMIC


def total_score(vetoes: Iterable[Veto]) -> int:
    return sum(veto.score for veto in vetoes)
