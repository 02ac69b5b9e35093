"""Who is served next: dominant shares by weight (DRF), flat for frameworks and as a tree for roles.

A client's dominant share is the largest part that it has of any scalar of the cluster, divided by its weight. The
lowest comes first, then who got the fewest allocations, then the name. A role's share holds those of the roles below
it: `a/b` competes with `a` itself inside of `a`, and `a` as a whole with its neighbours.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

from mesos.local.core.roles import lineage

#: So many roles are remembered that hold nothing.
MAX_ROLES = 10_000

#: (share, allocations, name).
Rank = tuple[float, int, str]


class Account:
    """What somebody holds, in thousandths by name, and how often it was given something."""

    __slots__ = ("allocations", "held")

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.allocations = 0

    def add(self, scalars: Mapping[str, int]) -> None:
        for name, amount in scalars.items():
            self.held[name] = self.held.get(name, 0) + amount

    def take(self, scalars: Mapping[str, int]) -> None:
        for name, amount in scalars.items():
            left = self.held.get(name, 0) - amount
            if left:
                self.held[name] = left
            else:
                self.held.pop(name, None)


def dominant_share(held: Mapping[str, int], total: Mapping[str, int]) -> float:
    return max((amount / total[name] for name, amount in held.items() if total.get(name)), default=0.0)


class FrameworkShares:
    """The frameworks of one role in the order of their shares; changes cost a logarithm, not a sort."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self._total = total
        self._accounts: dict[str, Account] = {}
        self._ranks: dict[str, Rank] = {}  # of the active ones
        self._order: list[Rank] = []
        self._stale = False

    def __contains__(self, framework: str) -> bool:
        return framework in self._accounts

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def any_active(self) -> bool:
        return bool(self._ranks)

    def is_active(self, framework: str) -> bool:
        return framework in self._ranks

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(self._accounts)

    def join(self, framework: str) -> None:
        self._accounts.setdefault(framework, Account())

    def leave(self, framework: str) -> None:
        """Its account stays while it holds something."""
        self.deactivate(framework)
        account = self._accounts.get(framework)
        if account is not None and not account.held:
            del self._accounts[framework]

    def forgive(self, framework: str) -> None:
        """Whatever it may hold, it is over."""
        account = self._accounts.get(framework)
        if account is not None:
            account.held.clear()

    def activate(self, framework: str) -> None:
        if framework not in self._ranks:
            self._place(framework)

    def deactivate(self, framework: str) -> None:
        rank = self._ranks.pop(framework, None)
        if rank is not None:
            del self._order[bisect_left(self._order, rank)]

    def give(self, framework: str, scalars: Mapping[str, int]) -> None:
        account = self._accounts[framework]
        account.add(scalars)
        account.allocations += 1
        self._moved(framework)

    def take(self, framework: str, scalars: Mapping[str, int]) -> None:
        account = self._accounts.get(framework)
        if account is not None:
            account.take(scalars)
            self._moved(framework)

    def totals_changed(self) -> None:
        self._stale = True

    def order(self) -> list[str]:
        """Of the active ones."""
        if self._stale:
            self._stale = False
            for framework in self._ranks:
                self._ranks[framework] = self._rank(framework)
            self._order = sorted(self._ranks.values())
        return [rank[2] for rank in self._order]

    def _moved(self, framework: str) -> None:
        if framework in self._ranks:
            self.deactivate(framework)
            self._place(framework)

    def _place(self, framework: str) -> None:
        rank = self._ranks[framework] = self._rank(framework)
        insort(self._order, rank)

    def _rank(self, framework: str) -> Rank:
        account = self._accounts[framework]
        return dominant_share(account.held, self._total), account.allocations, framework


class RoleShares:
    """Roles in the order of their shares. Roles are few: the order is made when it is asked for."""

    def __init__(self, total: Mapping[str, int]) -> None:
        self._total = total
        self._own: dict[str, Account] = {}  # of a role without those below it
        self._whole: dict[str, Account] = {}  # with them
        self.weights: dict[str, float] = {}

    def give(self, role: str, scalars: Mapping[str, int]) -> None:
        for account in self._accounts(role):
            account.add(scalars)
            account.allocations += 1

    def take(self, role: str, scalars: Mapping[str, int]) -> None:
        for account in self._accounts(role):
            account.take(scalars)

    def own(self, role: str) -> Mapping[str, int]:
        """What the role holds, without those below it."""
        account = self._own.get(role)
        return account.held if account is not None else {}

    def _accounts(self, role: str) -> list[Account]:
        if role not in self._own and len(self._own) >= MAX_ROLES:
            self._trim()
        whole = [self._whole.setdefault(name, Account()) for name in lineage(role)]
        return [self._own.setdefault(role, Account()), *whole]

    def _trim(self) -> None:
        """Roles that hold nothing, out: somebody uses new names again and again."""
        for accounts in (self._own, self._whole):
            for role in [role for role, account in accounts.items() if not account.held]:
                del accounts[role]

    def order(self, roles: list[str]) -> list[str]:
        return roles if len(roles) < 2 else sorted(roles, key=self._path)

    def _path(self, role: str) -> tuple[Rank, ...]:
        """Ranks from the top down; the role itself, beside its children, is a leaf with a weight of one."""
        path = [self._rank(self._whole.get(name), self.weights.get(name, 1.0), name) for name in lineage(role)]
        return (*path, self._rank(self._own.get(role), 1.0, "."))

    def _rank(self, account: Account | None, weight: float, name: str) -> Rank:
        if account is None:
            return 0.0, 0, name
        return dominant_share(account.held, self._total) / weight, account.allocations, name
