"""The smallest change that would let a task start on a host: one edit for each thing in the way, applied by `what_if`.

The filter stops at the first thing that it finds; a change has to clear all of them, so they are all looked for here.
An edit is of the task where one can help, otherwise of the host or of what else runs there, and says which.

    dedicated host            ask for it, if it is for the task's role; otherwise the host would have to be for all
    maintenance               it would have to end
    value constraint          allow the host's value; without the attribute the constraint would have to go
    limit constraint          one more than what runs there
    too little of a resource  ask for what is there; where even the executor finds no room, some has to become free

Source: spec/scheduler.md §3.2, the specification's list of weak points (§13.5, 23).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from msgspec import structs

from scheduler.core import vetoes
from scheduler.core.allocate import Wanted
from scheduler.core.filters import Counts, HostView, MaintenanceMode, filter_host, value_fits
from scheduler.core.model import DEDICATED, Constraint, LimitConstraint, TaskConfig, TaskConstraint, ValueConstraint
from scheduler.core.resources import MILLI, NOTHING, Amount, ResourceType, shortfalls
from scheduler.core.vetoes import VetoType


class EditKind(StrEnum):
    CONSTRAINT = "CONSTRAINT"
    ASK_LESS = "ASK_LESS"
    FREE = "FREE"
    END_MAINTENANCE = "END_MAINTENANCE"
    END_DEDICATION = "END_DEDICATION"
    RELEASE = "RELEASE"
    CONFIGURE = "CONFIGURE"

    @property
    def is_of_task(self) -> bool:
        """Whoever owns the job can do it."""
        return self in (EditKind.CONSTRAINT, EditKind.ASK_LESS)


@dataclass(frozen=True, slots=True)
class Edit:
    """`score`: how far away it is, as vetoes are weighed. `before` None: a new constraint; `after` None: one that goes.
    `amount`, in the type's unit: what to ask for, or what has to become free."""

    kind: EditKind
    text: str
    score: int
    before: Constraint | None = None
    after: Constraint | None = None
    resource: ResourceType | None = None
    amount: int = 0


#: The agent is kept for somebody else, or the task waits for another one.
RELEASE = Edit(
    EditKind.RELEASE, "once agents are no longer reserved for single tasks", VetoType.DEDICATED_MISMATCH.weight
)
CONFIGURE = Edit(
    EditKind.CONFIGURE, "once the scheduler is configured with its executor", VetoType.DEDICATED_MISMATCH.weight
)


def edits_for(config: TaskConfig, wanted: Wanted, host: HostView, counts: Counts, now_wall: float) -> tuple[Edit, ...]:
    """None: it fits."""
    edits = list(_dedication(config, host))
    if any(edit.kind is EditKind.END_DEDICATION for edit in edits):
        host = what_if(edits, config, wanted.total, host)[2]
    edits += _maintenance(config, host, counts, now_wall)
    for constraint in config.constraints:
        edits += _constraint(config, constraint, host, counts)
    edits += _resources(wanted, host.there)
    return tuple(edits)


def what_if(
    edits: Iterable[Edit], config: TaskConfig, wanted: Amount, host: HostView
) -> tuple[TaskConfig, Amount, HostView]:
    """The task and the host as they would be then, for `filter_host`."""
    for edit in edits:
        if edit.kind is EditKind.CONSTRAINT:
            config = _with_constraint(config, edit)
        elif edit.kind is EditKind.ASK_LESS:
            wanted = wanted.minus(_amount(edit))
        elif edit.kind is EditKind.FREE:
            host = replace(host, there=host.there.plus(_amount(edit)))
        elif edit.kind is EditKind.END_MAINTENANCE:
            host = replace(host, mode=MaintenanceMode.NONE, closed_from=None)
        elif edit.kind is EditKind.END_DEDICATION:
            others = {name: values for name, values in host.attributes.items() if name != DEDICATED}
            host = replace(host, attributes=others)
    return config, wanted, host


def _with_constraint(config: TaskConfig, edit: Edit) -> TaskConfig:
    changed = [edit.after if each == edit.before else each for each in config.constraints]
    if edit.before is None:
        changed.append(edit.after)
    return structs.replace(config, constraints=tuple(each for each in changed if each is not None))


def _amount(edit: Edit) -> Amount:
    kind, much = edit.resource, edit.amount
    return Amount(
        milli_cpus=much if kind is ResourceType.CPUS else 0,
        ram_mb=much if kind is ResourceType.RAM_MB else 0,
        disk_mb=much if kind is ResourceType.DISK_MB else 0,
        ports=much if kind is ResourceType.PORTS else 0,
        gpus=much if kind is ResourceType.GPUS else 0,
    )


# --- one for each thing in the way -------------------------------------------------------------------------------


def _dedication(config: TaskConfig, host: HostView) -> Iterator[Edit]:
    kept_for = sorted(host.attributes.get(DEDICATED, ()))
    asked = config.dedicated
    if not kept_for or (asked is not None and _asks_for(asked, host)):
        return
    ours = next((value for value in kept_for if _is_for(config, value)), None)
    if ours is None:
        text = f"if the host were not dedicated to {', '.join(kept_for)}"
        yield Edit(EditKind.END_DEDICATION, text, vetoes.HOST_IS_DEDICATED.score)
    elif asked is None:
        wish = Constraint(name=DEDICATED, constraint=TaskConstraint(value=ValueConstraint(values=(ours,))))
        yield Edit(
            EditKind.CONSTRAINT, f"with the constraint {DEDICATED}={ours}", vetoes.HOST_IS_DEDICATED.score, after=wish
        )


def _is_for(config: TaskConfig, dedicated: str) -> bool:
    return dedicated.partition("/")[0] in (config.job.role, "*")


def _asks_for(dedicated: Constraint, host: HostView) -> bool:
    value = dedicated.constraint.value
    return value is None or value_fits(value, host.attributes.get(DEDICATED, frozenset()))


def _maintenance(config: TaskConfig, host: HostView, counts: Counts, now_wall: float) -> Iterator[Edit]:
    """Asked of the filter itself, with a task that has no other wishes."""
    if host.mode is MaintenanceMode.NONE and host.closed_from is None:
        return
    bare = HostView({}, NOTHING, host.mode, host.closed_from)
    for veto in filter_host(TaskConfig(job=config.job), NOTHING, bare, counts, now_wall):
        yield Edit(EditKind.END_MAINTENANCE, "once the maintenance of the host is over", veto.score)


def _constraint(config: TaskConfig, constraint: Constraint, host: HostView, counts: Counts) -> Iterator[Edit]:
    found = host.attributes.get(constraint.name, frozenset())
    value, limit = constraint.constraint.value, constraint.constraint.limit
    score = VetoType.CONSTRAINT_MISMATCH.weight
    if value is not None and not value_fits(value, found):
        yield _allowing(constraint, value, _preferred(config, constraint, found), score)
    if limit is not None and not found:
        yield Edit(EditKind.CONSTRAINT, f"without the constraint {constraint.name}", score, constraint)
    elif limit is not None:
        running = max(counts(config.job, constraint.name, each) for each in found)
        if running >= limit.limit:
            after = _changed(constraint, TaskConstraint(limit=LimitConstraint(limit=running + 1)))
            yield Edit(EditKind.CONSTRAINT, f"with {constraint.name}=limit:{running + 1}", score, constraint, after)


def _preferred(config: TaskConfig, constraint: Constraint, found: frozenset[str]) -> list[str]:
    """The host's values; of a dedicated host those first that the job may ask for."""
    if constraint.name == DEDICATED:
        return sorted(found, key=lambda value: (not _is_for(config, value), value))
    return sorted(found)


def _allowing(constraint: Constraint, value: ValueConstraint, found: Sequence[str], score: int) -> Edit:
    if value.negated:
        values = tuple(each for each in value.values if each not in found)
    elif constraint.name == DEDICATED:
        values = tuple(found[:1])  # exactly one is allowed
    else:
        values = (*value.values, *found[:1])
    if not found or not values:
        return Edit(EditKind.CONSTRAINT, f"without the constraint {constraint.name}", score, constraint)
    after = _changed(constraint, TaskConstraint(value=ValueConstraint(values=values, negated=value.negated)))
    sign = "!" if value.negated else ""
    text = f"with {constraint.name}={sign}{','.join(values)}"
    return Edit(EditKind.CONSTRAINT, text, score, constraint, after)


def _changed(constraint: Constraint, to: TaskConstraint) -> Constraint:
    return Constraint(name=constraint.name, constraint=to)


def _resources(wanted: Wanted, there: Amount) -> Iterator[Edit]:
    for kind, missing in shortfalls(wanted.total, there):
        score = vetoes.insufficient(kind, missing).score
        left = dict(wanted.task.items())[kind] - missing
        may_be_none = kind in (ResourceType.PORTS, ResourceType.GPUS)
        if left > 0 or (left == 0 and may_be_none):
            text = f"with {kind.label} at most {_said(kind, left)} ({_said(kind, missing)} less)"
            yield Edit(EditKind.ASK_LESS, text, score, resource=kind, amount=missing)
        else:
            text = f"once {_said(kind, missing)} more of {kind.label} is free"
            yield Edit(EditKind.FREE, text, score, resource=kind, amount=missing)


def _said(kind: ResourceType, amount: int) -> str:
    if kind is ResourceType.CPUS:
        return f"{amount / MILLI:g}"
    return f"{amount} MB" if kind in (ResourceType.RAM_MB, ResourceType.DISK_MB) else str(amount)
