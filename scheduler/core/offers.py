"""What we could use of the cluster now: the offers at hand, from their arrival until they are used, declined or gone.

    added ──┬─ taken        a task is launched on it
            ├─ declined     held for long enough (others may want it), or a second one of its agent came: the master
            │               makes one of the two
            ├─ rescinded    by the master; may be said before the offer itself is (then it is not even added)
            └─ dropped      its agent is lost, or the connection is

The book is never asked what to do; it tells what to decline (`Decline`), and when to call `step` again (`next_wake`).

Static refusals of a group of tasks are kept with the offer and go with it (`ban`): they can only change with the host's
maintenance mode, and then they are forgotten, too.

Source: spec/scheduler.md §3.1. Time is monotonic seconds.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mesos.core.messages import Offer, OfferID
from scheduler.core.filters import MaintenanceMode
from scheduler.core.host_offer import HostOffer, OfferOrder, host_offer
from scheduler.core.model import TaskConfig
from scheduler.core.offer_index import IsFull, OfferIndex
from scheduler.core.pools import RevocableRules
from scheduler.core.resources import Amount


@dataclass(frozen=True, slots=True)
class OfferRules:
    """`hold_s` and `jitter_s`: an offer is held so long, and a random share of the jitter longer. `filter_s`: for so
    long the master does not offer us again what we declined. `most_bans`: beyond, refusals are found anew each time.
    `closed_s`: so long before its host's announced absence an offer is of no use."""

    hold_s: float = 300.0
    jitter_s: float = 60.0
    hold_forever: bool = False
    filter_s: float = 5.0
    order: tuple[OfferOrder, ...] = (OfferOrder.RANDOM,)
    revocable: RevocableRules = field(default=RevocableRules())
    most_bans: int = 1_000_000
    closed_s: float = 360.0


@dataclass(frozen=True, slots=True)
class Decline:
    offer_ids: tuple[OfferID, ...]
    refuse_s: float


class OfferBook:
    """At most one offer of each agent."""

    def __init__(self, rules: OfferRules | None = None) -> None:
        self._rules = rules or OfferRules()
        self._index = OfferIndex()
        self._by_id: dict[str, HostOffer] = {}
        self._by_agent: dict[str, str] = {}
        self._by_host: dict[str, dict[str, None]] = {}
        self._modes: dict[str, MaintenanceMode] = {}
        self._leaving: list[tuple[float, str]] = []  # heap; may name offers that are gone
        self._rescinded: dict[str, float] = {}  # never seen, and until when that is worth remembering; oldest first
        self._bans: dict[str, set[bytes]] = {}
        self._ban_count = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[HostOffer]:
        """In the order of arrival."""
        return iter(self._by_id.values())

    def __contains__(self, offer_id: str) -> bool:
        return offer_id in self._by_id

    def get(self, offer_id: str) -> HostOffer | None:
        return self._by_id.get(offer_id)

    def of_agent(self, agent_id: str) -> HostOffer | None:
        offer_id = self._by_agent.get(agent_id)
        return self._by_id[offer_id] if offer_id is not None else None

    @property
    def rules(self) -> OfferRules:
        return self._rules

    @property
    def looks(self) -> int:
        """How many offers, and blocks of them, were looked at so far: what placement costs, counted."""
        return self._index.looks.count

    @property
    def bans(self) -> int:
        return self._ban_count

    # --- coming ---------------------------------------------------------------------------------------------------

    def add(self, offer: Offer, now: float, chance: Callable[[], float]) -> Decline | None:
        """`chance()` in [0, 1)."""
        offer_id, agent = offer.id.value, offer.agent_id.value
        if self._rescinded.pop(offer_id, None) is not None or offer_id in self._by_id:
            return None
        other = self._by_agent.get(agent)
        if other is not None:
            first = self._remove(other)
            return Decline((first.offer.id, offer.id), self._rules.filter_s)
        rules = self._rules
        leaves_at = now + rules.hold_s + chance() * rules.jitter_s
        mode = self._modes.get(offer.hostname, MaintenanceMode.NONE)
        arrived = host_offer(offer, mode, now, leaves_at, rules.order, rules.revocable, chance(), rules.closed_s)
        self._by_id[offer_id] = arrived
        self._by_agent[agent] = offer_id
        self._by_host.setdefault(offer.hostname, {})[offer_id] = None
        self._index.add(arrived)
        if not rules.hold_forever:
            heapq.heappush(self._leaving, (leaves_at, offer_id))
        return None

    # --- going ----------------------------------------------------------------------------------------------------

    def take(self, offer_id: str) -> HostOffer | None:
        """To be used up. None: it is gone, and nothing may be launched on it."""
        return self._remove(offer_id) if offer_id in self._by_id else None

    def rescind(self, offer_id: str, now: float) -> bool:
        """False: it is not here, or not yet; should it be added late, it is not taken."""
        if offer_id in self._by_id:
            self._remove(offer_id)
            return True
        self._forget_rescinded(now)
        self._rescinded[offer_id] = now + self._rules.hold_s
        return False

    def agent_lost(self, agent_id: str) -> HostOffer | None:
        """Tells the offer that is gone with it."""
        offer_id = self._by_agent.get(agent_id)
        return self._remove(offer_id) if offer_id is not None else None

    def disconnected(self) -> None:
        """All offers are void; modes of hosts are ours, and stay."""
        for offer_id in list(self._by_id):
            self._remove(offer_id)
        self._leaving.clear()
        self._rescinded.clear()

    def step(self, now: float) -> Decline | None:
        """What has been held for long enough."""
        over = []
        while self._leaving and self._leaving[0][0] <= now:
            _, offer_id = heapq.heappop(self._leaving)
            if offer_id in self._by_id:
                over.append(self._remove(offer_id).offer.id)
        self._forget_rescinded(now)
        return Decline(tuple(over), self._rules.filter_s) if over else None

    def next_wake(self) -> float | None:
        while self._leaving and self._leaving[0][1] not in self._by_id:
            heapq.heappop(self._leaving)
        return self._leaving[0][0] if self._leaving else None

    def _forget_rescinded(self, now: float) -> None:
        while self._rescinded:
            oldest = next(iter(self._rescinded))
            if self._rescinded[oldest] > now:
                return
            del self._rescinded[oldest]

    def _remove(self, offer_id: str) -> HostOffer:
        gone = self._by_id.pop(offer_id)
        del self._by_agent[gone.agent]
        on_host = self._by_host[gone.host]
        del on_host[offer_id]
        if not on_host:
            del self._by_host[gone.host]
        self._index.remove(gone)
        self._forget_bans(offer_id)
        if len(self._leaving) > 2 * len(self._by_id) + 64:
            self._leaving = [(at, each) for at, each in self._leaving if each in self._by_id]
            heapq.heapify(self._leaving)
        return gone

    # --- being looked at ------------------------------------------------------------------------------------------

    def set_mode(self, host: str, mode: MaintenanceMode) -> None:
        """Of all agents of a host, now and later."""
        if mode is MaintenanceMode.NONE:
            self._modes.pop(host, None)
        else:
            self._modes[host] = mode
        for offer_id in self._by_host.get(host, {}):
            old = self._by_id[offer_id]
            if old.mode is mode:
                continue
            self._index.remove(old)
            self._by_id[offer_id] = new = old.in_mode(mode)
            self._index.add(new)
            self._forget_bans(offer_id)

    def candidates(
        self, group: bytes, config: TaskConfig, wanted: Amount, is_revocable: bool, is_full: IsFull
    ) -> Iterator[HostOffer]:
        """For tasks of a group, in order, without those that it is banned from. Read it before the book changes."""
        for offer in self._index.candidates(config, wanted, is_revocable, is_full):
            banned = self._bans.get(offer.id)
            if banned is None or group not in banned:
                yield offer

    def ban(self, offer_id: str, group: bytes) -> None:
        """The group does not fit there, as long as the offer stays as it is."""
        if offer_id not in self._by_id or self._ban_count >= self._rules.most_bans:
            return
        banned = self._bans.setdefault(offer_id, set())
        self._ban_count += group not in banned
        banned.add(group)

    def is_banned(self, offer_id: str, group: bytes) -> bool:
        return group in self._bans.get(offer_id, ())

    def _forget_bans(self, offer_id: str) -> None:
        self._ban_count -= len(self._bans.pop(offer_id, ()))
