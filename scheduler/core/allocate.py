"""What exactly a task gets of an offer: Mesos resources for it and for its executor, and a number for each named port.

Every pool (scheduler.core.pools) is drained in turn, reserved ones first; the executor is served before the task.
Ports are drawn by chance, so that a task that comes back after a crash does not meet the connections of the one before;
a draw costs the same from ten ports and from thirty thousand.

Source: spec/scheduler.md §3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec import structs

from mesos.core.messages import Range, Ranges, Resource, Scalar
from scheduler.core.pools import Pool, RevocableRules, usable
from scheduler.core.resources import MILLI, NOTHING, Amount, ResourceType
from thermos.errors import Bug


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one task needs: its own, what its executor needs, the names of its ports, whether its tier is revocable."""

    task: Amount
    overhead: Amount = NOTHING
    port_names: tuple[str, ...] = ()
    is_revocable: bool = False

    @property
    def total(self) -> Amount:
        return self.task.plus(self.overhead)


@dataclass(frozen=True, slots=True)
class Allocation:
    task: tuple[Resource, ...]
    executor: tuple[Resource, ...]
    ports: dict[str, int]


class _Drain:
    """Pools of one offer, and what is left in them."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self._pools = pools
        self._left = [pool.thousandths for pool in pools]

    def take(self, kind: ResourceType, thousandths: int) -> list[Resource]:
        taken = []
        for index, pool in enumerate(self._pools):
            part = min(thousandths, self._left[index]) if pool.kind is kind else 0
            if part > 0:
                self._left[index] -= part
                thousandths -= part
                taken.append(structs.replace(pool.source, scalar=Scalar(value=part / MILLI)))
        if thousandths > 0:
            raise Bug(f"an offer was chosen that lacks {thousandths} thousandths of {kind.label}")
        return taken

    def take_all(self, amount: Amount) -> list[Resource]:
        taken = self.take(ResourceType.CPUS, amount.milli_cpus)
        taken += self.take(ResourceType.RAM_MB, amount.ram_mb * MILLI)
        taken += self.take(ResourceType.DISK_MB, amount.disk_mb * MILLI)
        taken += self.take(ResourceType.GPUS, amount.gpus * MILLI)
        return taken


def allocate(
    pools: Sequence[Pool], wanted: Wanted, chance: Callable[[], float], rules: RevocableRules | None = None
) -> Allocation:
    """Of an offer that holds it; `chance()` in [0, 1). An offer that does not hold it is a bug of the caller."""
    mine = usable(pools, wanted.is_revocable, rules or RevocableRules())
    drain = _Drain(mine)
    executor = drain.take_all(wanted.overhead)
    task = drain.take_all(wanted.task)
    numbers, resources = draw_ports([p for p in mine if p.kind is ResourceType.PORTS], len(wanted.port_names), chance)
    ports = dict(zip(wanted.port_names, numbers, strict=True))
    return Allocation((*task, *resources), tuple(executor), ports)


def draw_ports(pools: Sequence[Pool], count: int, chance: Callable[[], float]) -> tuple[list[int], list[Resource]]:
    """`count` different ports, in the order of the draw, and the resources that they are, one for each pool."""
    numbers: list[int] = []
    resources = []
    for pool in pools:
        drawn = _draw(pool.spans, min(pool.count, count - len(numbers)), chance)
        if drawn:
            spans = Ranges(range=tuple(Range(begin=port, end=port) for port in sorted(drawn)))
            resources.append(structs.replace(pool.source, ranges=spans))
            numbers += drawn
    if len(numbers) < count:
        raise Bug(f"an offer was chosen that lacks {count - len(numbers)} ports")
    return numbers, resources


def _draw(spans: Sequence[tuple[int, int]], count: int, chance: Callable[[], float]) -> list[int]:
    """A shuffle that moves only what it draws: `moved` says what stands now in a place that was drawn from."""
    size = sum(end - begin + 1 for begin, end in spans)
    moved: dict[int, int] = {}
    drawn = []
    for first in range(count):
        place = first + int(chance() * (size - first))
        drawn.append(_port_at(spans, moved.get(place, place)))
        moved[place] = moved.get(first, first)
    return drawn


def _port_at(spans: Sequence[tuple[int, int]], index: int) -> int:
    for begin, end in spans:
        if index <= end - begin:
            return begin + index
        index -= end - begin + 1
    raise Bug(f"no port at {index}")
