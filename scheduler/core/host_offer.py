"""An offer with all that placement asks of it, worked out once when it arrives, and its place among the others.

The order of candidates: hosts that are not in maintenance first; then those whose announced absence is furthest away
(none at all: furthest); then whatever the operator prefers (`-offer_order`); the offer's id last, so that no two are
equal.

Source: spec/scheduler.md §3.1, §3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from struct import Struct

import msgspec
from msgspec import structs

from mesos.core.messages import Attribute, Offer
from scheduler.core.filters import HostView, MaintenanceMode
from scheduler.core.pools import Pool, RevocableRules, amount_in, pools_of, usable
from scheduler.core.resources import Amount
from scheduler.core.shelf import Key

#: Every host has it, whether its agent says so or not.
HOST = "host"


class OfferOrder(StrEnum):
    """Ascending: the smallest that is enough comes first, and big ones are kept for those who need them."""

    CPU = "CPU"
    DISK = "DISK"
    MEMORY = "MEMORY"
    REVOCABLE_CPU = "REVOCABLE_CPU"
    RANDOM = "RANDOM"


_DOUBLE, _BITS = Struct(">d"), Struct(">Q")
_SIGN, _ALL = 1 << 63, (1 << 64) - 1
_RANK = {mode: rank for rank, mode in enumerate(MaintenanceMode)}


class HostOffer(msgspec.Struct, frozen=True, eq=False, gc=False):
    """`there`: what an ordinary task, and what a task of a revocable tier could use. Moments: monotonic;
    wall moments are `unavailable_from`, where an announced absence begins, and `closed_from`, from which on nothing is
    started because of it."""

    offer: Offer
    attributes: Mapping[str, frozenset[str]]
    pools: tuple[Pool, ...]
    there: tuple[Amount, Amount]
    preference: tuple[float, ...]
    mode: MaintenanceMode
    unavailable_from: float | None
    closed_from: float | None
    arrived_at: float
    leaves_at: float
    key: Key

    @property
    def id(self) -> str:
        return self.offer.id.value

    @property
    def agent(self) -> str:
        return self.offer.agent_id.value

    @property
    def host(self) -> str:
        return self.offer.hostname

    @property
    def has_any(self) -> bool:
        """Some task could run on cpus and memory that are here."""
        return any(amount.milli_cpus > 0 and amount.ram_mb > 0 for amount in self.there)

    def view(self, is_revocable: bool) -> HostView:
        return HostView(self.attributes, self.there[is_revocable], self.mode, self.closed_from)

    def in_mode(self, mode: MaintenanceMode) -> HostOffer:
        return structs.replace(self, mode=mode, key=_key(mode, self.unavailable_from, self.preference, self.id))


def _key(mode: MaintenanceMode, away: float | None, preference: tuple[float, ...], offer_id: str) -> Key:
    numbers = (_RANK[mode], -away if away is not None else -math.inf, *preference)
    return b"".join(map(ordered, numbers)) + offer_id.encode()


def ordered(number: float) -> bytes:
    """Eight bytes that compare as the numbers do: the sign's bit is turned, and below zero all others, too."""
    (bits,) = _BITS.unpack(_DOUBLE.pack(number))
    return _BITS.pack(bits ^ _ALL if bits & _SIGN else bits | _SIGN)


def attributes_of(hostname: str, attributes: Iterable[Attribute]) -> dict[str, frozenset[str]]:
    """Text and scalar ones; a name that comes several times has several values. A number is as Java writes a double."""
    found: dict[str, set[str]] = {}
    for attribute in attributes:
        if attribute.text is not None:
            found.setdefault(attribute.name, set()).add(attribute.text.value)
        elif attribute.scalar is not None:
            found.setdefault(attribute.name, set()).add(repr(float(attribute.scalar.value)))
    found.setdefault(HOST, {hostname})
    return {name: frozenset(values) for name, values in found.items()}


def host_offer(
    offer: Offer,
    mode: MaintenanceMode,
    arrived_at: float,
    leaves_at: float,
    order: Sequence[OfferOrder],
    revocable: RevocableRules,
    chance: float,
    closed_s: float,
) -> HostOffer:
    """`chance` in [0, 1) is its place where the order says RANDOM; `closed_s`: so long before an announced absence
    nothing is started any more."""
    pools = pools_of(offer)
    firm = amount_in(usable(pools, False, revocable))
    loose = amount_in(usable(pools, True, revocable))
    sizes = {
        OfferOrder.CPU: firm.milli_cpus,
        OfferOrder.DISK: firm.disk_mb,
        OfferOrder.MEMORY: firm.ram_mb,
        OfferOrder.REVOCABLE_CPU: loose.milli_cpus,
        OfferOrder.RANDOM: chance,
    }
    away = offer.unavailability.start.nanoseconds / 1e9 if offer.unavailability is not None else None
    preference = tuple(sizes[by] for by in order)
    return HostOffer(
        offer=offer,
        attributes=attributes_of(offer.hostname, offer.attributes),
        pools=pools,
        there=(firm, loose),
        preference=preference,
        mode=mode,
        unavailable_from=away,
        closed_from=away - closed_s if away is not None else None,
        arrived_at=arrived_at,
        leaves_at=leaves_at,
        key=_key(mode, away, preference, offer.id.value),
    )
