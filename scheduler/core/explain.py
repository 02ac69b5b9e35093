"""Why does this task not start? For every host with an offer all reasons, and the smallest change that would help.

Nothing here is remembered: an answer is worked out from the offers and the task as they are, so it can't be out of
date, and no host is missing. A host that would take the task has no reasons; then the next attempt will use it.

Source: spec/scheduler.md §3.2 (nearest fit), §13.5 (23).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from scheduler.core import edits
from scheduler.core.allocate import Wanted
from scheduler.core.edits import Edit
from scheduler.core.filters import Counts, HostView, filter_host
from scheduler.core.host_offer import HostOffer
from scheduler.core.model import DEDICATED, TaskConfig
from scheduler.core.vetoes import Veto, total_score

#: Beside the texts of vetoes.
RESERVED = "Reserved for another task"
NO_EXECUTOR = "Executor is not configured"
NO_OFFERS = "No offers: no host has anything free, or none is known yet"


@dataclass(frozen=True, slots=True)
class Asked:
    """The configuration that waits, and what it needs (None: its executor is not configured). `may_use`: whether the
    agent with that id is kept for others."""

    config: TaskConfig
    wanted: Wanted | None
    may_use: Callable[[str], bool] = lambda agent: True


@dataclass(frozen=True, slots=True)
class _Judgement:
    """All that speaks against a host, and what would have to change."""

    reasons: tuple[str, ...]
    vetoes: tuple[Veto, ...]
    change: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class HostAnswer:
    """`reasons`: empty if the task fits. `change`: all edits that are needed together."""

    host: str
    agent: str
    offer: str
    age_s: float
    reasons: tuple[str, ...]
    vetoes: tuple[Veto, ...]
    change: tuple[Edit, ...]

    @property
    def fits(self) -> bool:
        return not self.reasons

    @property
    def is_up_to_owner(self) -> bool:
        """All that is needed is a change of the job."""
        return all(edit.kind.is_of_task for edit in self.change)

    @property
    def distance(self) -> tuple[int, int, str]:
        """What is nearest to a fit is least."""
        return sum(edit.score for edit in self.change), len(self.change), self.host

    @property
    def change_text(self) -> str:
        return " and ".join(edit.text for edit in self.change)


@dataclass(frozen=True, slots=True)
class Explanation:
    hosts: tuple[HostAnswer, ...]

    @property
    def fitting(self) -> list[str]:
        return [answer.host for answer in self.hosts if answer.fits]

    @property
    def by_reason(self) -> Mapping[str, int]:
        """How many hosts have that reason, the most frequent first."""
        return dict(Counter(reason for answer in self.hosts for reason in answer.reasons).most_common())

    @property
    def smallest(self) -> HostAnswer | None:
        """The host that takes the least to fit; None: no host refuses it."""
        return min((answer for answer in self.hosts if not answer.fits), key=_distance, default=None)

    @property
    def smallest_of_task(self) -> HostAnswer | None:
        """The same, of hosts where a change of the job alone would do."""
        able = (answer for answer in self.hosts if not answer.fits and answer.is_up_to_owner)
        return min(able, key=_distance, default=None)

    @property
    def nearest_fit(self) -> tuple[Veto, ...]:
        """The lightest set of vetoes, as the original weighs them."""
        return min((a.vetoes for a in self.hosts if a.vetoes), key=total_score, default=())

    @property
    def pending_reason(self) -> str:
        """One line: the texts of the nearest fit, or why there is none. Empty: some host takes it."""
        return _pending_reason(bool(self.fitting), self.nearest_fit, self.by_reason)


class Tally:
    """The same counted only, host by host: the reasons and the nearest fit, without what would have to change."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._reasons: Counter[str] = Counter()
        self._vetoes: Counter[tuple[Veto, ...]] = Counter()
        self._fits = False

    def add(self, offer: HostOffer, counts: Counts, now_wall: float) -> None:
        view = _view(self._asked, offer)
        vetoes, reasons = _refusal(self._asked, view, self._asked.may_use(offer.agent), counts, now_wall)
        self._reasons.update(reasons)
        self._vetoes[tuple(vetoes)] += 1
        self._fits = self._fits or not reasons

    @property
    def vetoes(self) -> Mapping[tuple[Veto, ...], int]:
        """How many hosts have exactly these."""
        return self._vetoes

    @property
    def by_reason(self) -> Mapping[str, int]:
        return dict(self._reasons.most_common())

    @property
    def pending_reason(self) -> str:
        nearest = min((vetoes for vetoes in self._vetoes if vetoes), key=total_score, default=())
        return _pending_reason(self._fits, nearest, self.by_reason)


def _distance(answer: HostAnswer) -> tuple[int, int, str]:
    return answer.distance


def explain(asked: Asked, offers: Iterable[HostOffer], counts: Counts, now: float, now_wall: float) -> Explanation:
    """An answer for each offer. Hosts that are alike to the task are judged once."""
    names = dict.fromkeys((DEDICATED, *(constraint.name for constraint in asked.config.constraints)))
    known: dict[Hashable, _Judgement] = {}
    answers = []
    for offer in offers:
        view, may_use = _view(asked, offer), asked.may_use(offer.agent)
        alike = (may_use, view.there, view.mode, view.closed_from, *map(view.attributes.get, names))
        found = known.get(alike)
        if found is None:
            found = known[alike] = _judge(asked, view, may_use, counts, now_wall)
        answers.append(_answer(offer, found, now))
    return Explanation(tuple(answers))


def _pending_reason(fits: bool, nearest: tuple[Veto, ...], by_reason: Mapping[str, int]) -> str:
    if fits:
        return ""
    if nearest:
        return ",".join(veto.text for veto in nearest)
    return next(iter(by_reason), NO_OFFERS)


def _view(asked: Asked, offer: HostOffer) -> HostView:
    return offer.view(asked.wanted is not None and asked.wanted.is_revocable)


def _refusal(
    asked: Asked, view: HostView, may_use: bool, counts: Counts, now_wall: float
) -> tuple[list[Veto], list[str]]:
    """The vetoes, and all reasons."""
    found, reasons = list[Veto](), [NO_EXECUTOR]
    if asked.wanted is not None:
        found = filter_host(asked.config, asked.wanted.total, view, counts, now_wall)
        reasons = [veto.text for veto in found]
    if not may_use:
        reasons.insert(0, RESERVED)
    return found, reasons


def _judge(asked: Asked, view: HostView, may_use: bool, counts: Counts, now_wall: float) -> _Judgement:
    found, reasons = _refusal(asked, view, may_use, counts, now_wall)
    change: tuple[Edit, ...] = ()
    if asked.wanted is None:
        change = (edits.CONFIGURE,)
    elif found:
        change = edits.edits_for(asked.config, asked.wanted, view, counts, now_wall)
    if not may_use:
        change = (edits.RELEASE, *change)
    return _Judgement(tuple(reasons), tuple(found), change)


def _answer(offer: HostOffer, found: _Judgement, now: float) -> HostAnswer:
    return HostAnswer(
        host=offer.host,
        agent=offer.agent,
        offer=offer.id,
        age_s=now - offer.arrived_at,
        reasons=found.reasons,
        vetoes=found.vetoes,
        change=found.change,
    )
