"""Amounts of what a host has and a task wants, exact, and how far they are apart.

cpus are counted in thousandths: 0.1 + 0.2 cores are exactly 0.3, however often they are added and given back.

Source: spec/scheduler.md §1.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum

import msgspec

from scheduler.core.model import Resource

MILLI = 1000


class ResourceType(Enum):
    """(what people call it, Mesos' name, the shortfall that counts as most)."""

    CPUS = ("CPU", "cpus", 16 * MILLI)
    RAM_MB = ("RAM", "mem", 24 * 1024)
    DISK_MB = ("disk", "disk", 450 * 1024)
    PORTS = ("ports", "ports", 1000)
    GPUS = ("GPU", "gpus", 4)

    def __init__(self, label: str, mesos_name: str, scaling_range: int) -> None:
        """`scaling_range` in this type's own unit (thousandths of a core, MB, ports, gpus)."""
        self.label = label
        self.mesos_name = mesos_name
        self.scaling_range = scaling_range


class Amount(msgspec.Struct, frozen=True, gc=False):
    """Never negative but as the outcome of `minus`."""

    milli_cpus: int = 0
    ram_mb: int = 0
    disk_mb: int = 0
    ports: int = 0
    gpus: int = 0

    def plus(self, other: Amount) -> Amount:
        return Amount(
            self.milli_cpus + other.milli_cpus,
            self.ram_mb + other.ram_mb,
            self.disk_mb + other.disk_mb,
            self.ports + other.ports,
            self.gpus + other.gpus,
        )

    def minus(self, other: Amount) -> Amount:
        return self.plus(other.times(-1))

    def times(self, count: int) -> Amount:
        return Amount(
            self.milli_cpus * count, self.ram_mb * count, self.disk_mb * count, self.ports * count, self.gpus * count
        )

    def holds(self, other: Amount) -> bool:
        """There is enough of everything."""
        return (
            self.milli_cpus >= other.milli_cpus
            and self.ram_mb >= other.ram_mb
            and self.disk_mb >= other.disk_mb
            and self.ports >= other.ports
            and self.gpus >= other.gpus
        )

    def items(self) -> Iterator[tuple[ResourceType, int]]:
        yield ResourceType.CPUS, self.milli_cpus
        yield ResourceType.RAM_MB, self.ram_mb
        yield ResourceType.DISK_MB, self.disk_mb
        yield ResourceType.PORTS, self.ports
        yield ResourceType.GPUS, self.gpus


NOTHING = Amount()


def amount_of(resources: Iterable[Resource]) -> Amount:
    """Of a task's resources; every named port counts one."""
    total = NOTHING
    for resource in resources:
        total = total.plus(
            Amount(
                round((resource.num_cpus or 0.0) * MILLI),
                resource.ram_mb or 0,
                resource.disk_mb or 0,
                0 if resource.named_port is None else 1,
                resource.num_gpus or 0,
            )
        )
    return total


def shortfalls(wanted: Amount, there: Amount) -> Iterator[tuple[ResourceType, int]]:
    """What is missing, and how much of it."""
    if wanted.milli_cpus > there.milli_cpus:
        yield ResourceType.CPUS, wanted.milli_cpus - there.milli_cpus
    if wanted.ram_mb > there.ram_mb:
        yield ResourceType.RAM_MB, wanted.ram_mb - there.ram_mb
    if wanted.disk_mb > there.disk_mb:
        yield ResourceType.DISK_MB, wanted.disk_mb - there.disk_mb
    if wanted.ports > there.ports:
        yield ResourceType.PORTS, wanted.ports - there.ports
    if wanted.gpus > there.gpus:
        yield ResourceType.GPUS, wanted.gpus - there.gpus
