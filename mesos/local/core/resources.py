"""Bags of resources: exact to a thousandth, added and taken apart by what they are, not by what they are called.

Two amounts belong together when name, reservations, disk, provider, revocability, sharing and the role that they are
allocated to are all equal (`Key`). Scalars are whole thousandths, ranges sorted spans that do not touch, sets frozen
sets; so `a + b - b == a` always, and nothing drifts. A bag never changes, and holds no amount of nothing.

Resources come in two forms: with a stack of `reservations`, and, for frameworks without RESERVATION_REFINEMENT, with
`role` and `reservation`. `Resources.of` reads both, `as_messages` writes the first, `old_form` the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from mesos.core.messages import (
    AllocationInfo,
    DiskInfo,
    Items,
    Nothing,
    Range,
    Ranges,
    Reservation,
    Resource,
    ResourceProviderID,
    Scalar,
    ValueType,
)
from mesos.local.core.amounts import Amount, add, common, covers, describe_amount, merge_spans, subtract, thousandths
from thermos.errors import Bug

ANY_ROLE = "*"
STATIC, DYNAMIC = "STATIC", "DYNAMIC"


class Key(NamedTuple):
    """What an amount is of. `disk` is its DiskInfo as JSON with sorted names ("" for none); `role` is the role that it
    is allocated to ("" while it is not); `type` keeps a scalar and a set of one name apart."""

    name: str
    reservations: tuple[Reservation, ...] = ()
    disk: str = ""
    provider: str = ""
    revocable: bool = False
    shared: bool = False
    role: str = ""
    type: str = ValueType.SCALAR

    @property
    def reserved_for(self) -> str:
        """The role of the innermost reservation, "*" without any."""
        return self.reservations[-1].role if self.reservations else ANY_ROLE

    @property
    def persistent(self) -> bool:
        return '"persistence"' in self.disk

    @property
    def is_dynamic(self) -> bool:
        """Reserved by a framework or an operator, not by the agent's flags."""
        return bool(self.reservations) and self.reservations[-1].type == DYNAMIC


_interned: dict[Key, Key] = {}
_INTERNED_MAX = 10_000


def _intern(key: Key) -> Key:
    """The one object of all equal keys: tens of thousands of agents have the same few."""
    known = _interned.get(key)
    if known is None:
        if len(_interned) >= _INTERNED_MAX:
            _interned.clear()
        known = _interned[key] = key
    return known


_allocated: dict[tuple[Key, str], Key] = {}


def allocated_key(key: Key, role: str) -> Key:
    """The same, allocated to this role; looked up, because it is asked for again and again."""
    found = _allocated.get((key, role))
    if found is None:
        if len(_allocated) >= _INTERNED_MAX:
            _allocated.clear()
        found = _allocated[key, role] = _intern(key._replace(role=role))
    return found


# --- the bag -----------------------------------------------------------------------------------------------------


class Resources:
    __slots__ = ("amounts",)

    amounts: Mapping[Key, Amount]

    def __init__(self, amounts: Mapping[Key, Amount] | None = None) -> None:
        self.amounts = amounts if amounts is not None else {}

    @classmethod
    def of(cls, items: Iterable[Resource]) -> Resources:
        """Of resources as they are on the wire, in either form. Raises ValueError for what is not one (see
        `validation` for texts)."""
        amounts: dict[Key, Amount] = {}
        for item in items:
            amount = amount_of(item)
            if not amount:
                continue
            key = key_of(item)
            amounts[key] = add(amounts[key], amount) if key in amounts else amount
        return cls(amounts)

    # -- arithmetic

    def __add__(self, other: Resources) -> Resources:
        if not self.amounts:
            return other
        if not other.amounts:
            return self
        amounts = dict(self.amounts)
        for key, amount in other.amounts.items():
            amounts[key] = add(amounts[key], amount) if key in amounts else amount
        return Resources(amounts)

    def __sub__(self, other: Resources) -> Resources:
        """Raises Bug when there is not so much here: ask `contains` before."""
        if not other.amounts:
            return self
        amounts = dict(self.amounts)
        for key, amount in other.amounts.items():
            have = amounts.get(key, 0)
            if not covers(have, amount):
                raise Bug(f"cannot take {other} from {self}")
            left = subtract(have, amount)
            if left:
                amounts[key] = left
            else:
                del amounts[key]
        return Resources(amounts)

    def contains(self, other: Resources) -> bool:
        mine = self.amounts
        return all(covers(mine.get(key, 0), amount) for key, amount in other.amounts.items())

    def common(self, other: Resources) -> Resources:
        """What both have."""
        shared = ((key, common(amount, other.amounts.get(key, 0))) for key, amount in self.amounts.items())
        return Resources({key: amount for key, amount in shared if amount})

    def without(self, other: Resources) -> Resources:
        """As much of `other` taken away as there is."""
        return self - self.common(other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Resources) and self.amounts == other.amounts

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self.amounts)

    # -- parts

    def filter(self, wanted: Callable[[Key], bool]) -> Resources:
        kept = {key: amount for key, amount in self.amounts.items() if wanted(key)}
        return self if len(kept) == len(self.amounts) else Resources(kept)

    def map(self, change: Callable[[Key], Key]) -> Resources:
        amounts: dict[Key, Amount] = {}
        for key, amount in self.amounts.items():
            new = _intern(change(key))
            amounts[new] = add(amounts[new], amount) if new in amounts else amount
        return Resources(amounts)

    def allocated(self, role: str) -> Resources:
        return Resources({allocated_key(key, role): amount for key, amount in self.amounts.items()})

    def unallocated(self) -> Resources:
        return self.map(_without_role) if len(self.roles) > 1 else self.allocated("")

    @property
    def plain(self) -> bool:
        """Nothing reserved, no volumes, nothing revocable or shared."""
        return not any(key.reservations or key.disk or key.revocable or key.shared for key in self.amounts)

    def by_role(self) -> list[tuple[str, Resources]]:
        """Parts by the role that they are allocated to."""
        roles = self.roles
        if len(roles) == 1:
            return [(roles[0], self)]
        return [(role, self.filter(lambda key, role=role: key.role == role)) for role in roles]  # type: ignore[misc]

    @property
    def roles(self) -> tuple[str, ...]:
        """That parts of it are allocated to; "" among them for parts that are not."""
        return tuple(dict.fromkeys(key.role for key in self.amounts))

    def scalars(self) -> dict[str, int]:
        """Thousandths by name."""
        totals: dict[str, int] = {}
        for key, amount in self.amounts.items():
            if isinstance(amount, int):
                totals[key.name] = totals.get(key.name, 0) + amount
        return totals

    def named(self, name: str) -> Resources:
        return self.filter(lambda key: key.name == name)

    # -- as they are on the wire

    def as_messages(self) -> tuple[Resource, ...]:
        return tuple(message_of(key, amount) for key, amount in self.amounts.items())

    def old_form(self, allocation: bool = False) -> tuple[Resource, ...]:
        """With `role` and `reservation`; without `allocation_info` unless it is asked for."""
        return tuple(_old_form(message, allocation) for message in self.as_messages())

    def __repr__(self) -> str:
        return f"Resources({self})"

    def __str__(self) -> str:
        return "; ".join(describe(key, amount) for key, amount in self.amounts.items()) or "{}"


NONE = Resources()


def total_of(parts: Iterable[Resources]) -> Resources:
    amounts: dict[Key, Amount] = {}
    for part in parts:
        for key, amount in part.amounts.items():
            amounts[key] = add(amounts[key], amount) if key in amounts else amount
    return Resources(amounts)


# --- to and from messages ----------------------------------------------------------------------------------------


def key_of(item: Resource) -> Key:
    disk = "" if item.disk is None else msgspec.json.encode(item.disk, order="deterministic").decode()
    key = Key(
        name=item.name,
        reservations=item.reservations or _old_reservation(item),
        disk="" if disk == "{}" else disk,
        provider=item.provider_id.value if item.provider_id is not None else "",
        revocable=item.revocable is not None,
        shared=item.shared is not None,
        role=item.allocation_info.role if item.allocation_info is not None else "",
        type=item.type,
    )
    return _intern(key)


def _old_reservation(item: Resource) -> tuple[Reservation, ...]:
    if item.role in ("", ANY_ROLE):
        return ()
    if item.reservation is None:
        return (Reservation(type=STATIC, role=item.role),)
    old = item.reservation
    return (Reservation(type=DYNAMIC, role=item.role, principal=old.principal, labels=old.labels),)


def amount_of(item: Resource) -> Amount:
    if item.type == ValueType.SCALAR and item.scalar is not None:
        return thousandths(item.scalar.value)
    if item.type == ValueType.RANGES and item.ranges is not None:
        return merge_spans((span.begin, span.end) for span in item.ranges.range)
    if item.type == ValueType.SET and item.set is not None:
        return frozenset(item.set.item)
    raise ValueError(f"the resource {item.name} is no {item.type}")


def message_of(key: Key, amount: Amount) -> Resource:
    scalar = ranges = items = None
    if isinstance(amount, int):
        kind, scalar = ValueType.SCALAR, Scalar(value=amount / 1000)
    elif isinstance(amount, tuple):
        kind, ranges = ValueType.RANGES, Ranges(range=tuple(Range(begin=a, end=b) for a, b in amount))
    else:
        kind, items = ValueType.SET, Items(item=tuple(sorted(amount)))
    return Resource(
        name=key.name,
        type=kind,
        scalar=scalar,
        ranges=ranges,
        set=items,
        provider_id=ResourceProviderID(value=key.provider) if key.provider else None,
        allocation_info=AllocationInfo(role=key.role) if key.role else None,
        reservations=key.reservations,
        disk=disk_of(key),
        revocable=Nothing() if key.revocable else None,
        shared=Nothing() if key.shared else None,
    )


def disk_of(key: Key) -> DiskInfo | None:
    return msgspec.json.decode(key.disk, type=DiskInfo) if key.disk else None


def _old_form(item: Resource, allocation: bool) -> Resource:
    """Only for resources without refined reservations: those have no old form and are left as they are."""
    changes: dict[str, object] = {} if allocation else {"allocation_info": None}
    if not item.reservations:
        changes["role"] = ANY_ROLE
    elif len(item.reservations) == 1:
        only = item.reservations[0]
        changes |= {"role": only.role, "reservations": ()}
        if only.type == DYNAMIC:
            changes["reservation"] = Reservation(principal=only.principal, labels=only.labels)
    return msgspec.structs.replace(item, **changes)


def _without_role(key: Key) -> Key:
    return key._replace(role="")


# --- as Mesos prints them ----------------------------------------------------------------------------------------


def describe(key: Key, amount: Amount) -> str:
    """As Mesos says it in its messages: `cpus(allocated: web)(reservations: [(DYNAMIC,web)]):1.5`."""
    text = key.name
    if key.role:
        text += f"(allocated: {key.role})"
    if key.reservations:
        stack = ", ".join(_describe_reservation(r) for r in key.reservations)
        text += f"(reservations: [{stack}])"
    disk = disk_of(key)
    if disk is not None:
        text += f"[{_describe_disk(disk)}]"
    text += "{REV}" if key.revocable else ""
    text += "<SHARED>" if key.shared else ""
    return f"{text}:{describe_amount(amount)}"


def _describe_reservation(reservation: Reservation) -> str:
    parts = [reservation.type, reservation.role]
    if reservation.principal:
        parts.append(reservation.principal)
    if reservation.labels is not None:
        labels = ", ".join(f"{label.key}: {label.value}" for label in reservation.labels.labels)
        parts.append(f"{{{labels}}}")
    return f"({','.join(parts)})"


def _describe_disk(disk: DiskInfo) -> str:
    text = disk.persistence.id if disk.persistence is not None else ""
    if disk.volume is not None:
        text += f":{disk.volume.container_path}"
    return text
