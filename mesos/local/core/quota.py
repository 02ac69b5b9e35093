"""Quotas of roles: what a role is guaranteed, what it may have at most, and what of it is used.

Used up is what a role holds without a reservation, and all that is reserved for it, whether allocated or not; revocable
resources do not count. A role's account is that of its topmost ancestor: Mesos has no quota for nested roles.
"""

from __future__ import annotations

from collections.abc import Mapping

from mesos.core.messages import Message
from mesos.local.core.resources import Key, Resources

Amounts = Mapping[str, int]  # thousandths by name


class Quota(Message, frozen=True):
    guarantees: dict[str, int] = {}
    limits: dict[str, int] = {}


def top_of(role: str) -> str:
    return role.split("/", 1)[0]


def is_unreserved(key: Key) -> bool:
    return not key.reservations and not key.revocable


def unreserved(resources: Resources, scalars: Amounts) -> Amounts:
    """The scalars of what is not reserved; `scalars` are all of them, known already."""
    return scalars if resources.plain else resources.filter(is_unreserved).scalars()


def shrink(resources: Resources, most: Amounts) -> Resources:
    """Without a reservation at most so much of each name; names that are not in `most` stay as they are."""
    if not any(key.name in most and is_unreserved(key) for key in resources.amounts):
        return resources
    left = dict(most)
    amounts = {}
    for key, amount in resources.amounts.items():
        if isinstance(amount, int) and key.name in left and is_unreserved(key):
            amount = max(0, min(amount, left[key.name]))
            left[key.name] -= amount
        if amount:
            amounts[key] = amount
    return Resources(amounts)


class Quotas:
    def __init__(self) -> None:
        self.by_role: dict[str, Quota] = {}
        self._used: dict[str, dict[str, int]] = {}

    def used(self, role: str) -> Amounts:
        return self._used.get(top_of(role), {})

    def _account(self, role: str, scalars: Amounts, sign: int) -> None:
        account = self._used.setdefault(top_of(role), {})
        for name, amount in scalars.items():
            account[name] = account.get(name, 0) + sign * amount
        if sign < 0 and not any(account.values()):
            del self._used[top_of(role)]

    def allocated(self, role: str, scalars: Amounts, sign: int) -> None:
        """`scalars` as `unreserved` gives them."""
        self._account(role, scalars, sign)

    def reserved(self, total: Resources, sign: int) -> None:
        """Of an agent's total, when it comes (1) and when it goes or changes (-1)."""
        for key, amount in total.amounts.items():
            if key.reservations and not key.revocable and isinstance(amount, int):
                self._account(key.reserved_for, {key.name: amount}, sign)

    def room(self, role: str) -> Amounts | None:
        """How much more the role may have of each limited name; None without limits."""
        quota = self.by_role.get(top_of(role))
        if quota is None or not quota.limits:
            return None
        used = self.used(role)
        return {name: limit - used.get(name, 0) for name, limit in quota.limits.items()}

    def missing(self, role: str) -> Amounts:
        """What the role lacks of its guarantees."""
        quota = self.by_role.get(top_of(role))
        if quota is None:
            return {}
        used = self.used(role)
        lacks = {name: amount - used.get(name, 0) for name, amount in quota.guarantees.items()}
        return {name: amount for name, amount in lacks.items() if amount > 0}

    @property
    def guaranteed(self) -> tuple[str, ...]:
        return tuple(role for role, quota in self.by_role.items() if quota.guarantees)

    def required(self) -> Amounts:
        """What must stay free, so that every guarantee can be met."""
        needed: dict[str, int] = {}
        for role in self.guaranteed:
            for name, amount in self.missing(role).items():
                needed[name] = needed.get(name, 0) + amount
        return needed
