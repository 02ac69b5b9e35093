"""Inverse offers: asking frameworks to give up what they hold on machines that will be away.

Each framework with resources on such an agent is asked, one inverse offer at a time. Its answer is kept for whoever
plans the maintenance; nothing else follows from it. It is asked again when its refusal of being asked expires. The
pass over the agents concerned is made once each allocation interval, while there are any.
"""

from __future__ import annotations

from collections.abc import Iterable

from mesos.core.messages import Filters, InverseOffer, OfferID, Unavailability
from mesos.core.scheduler_api import Event, EventType, InverseOffers, RescindInverseOffer
from mesos.local.core.cluster import Cluster, InverseRecord, Kind, Said
from mesos.local.core.frameworks import Framework
from mesos.local.core.known_agents import Agent
from mesos.local.core.offers import refusal_of, take_back


def set_unavailability(cluster: Cluster, agent: Agent, unavailability: Unavailability | None) -> None:
    """Offers of before say something else, so they are taken back."""
    if unavailability == agent.unavailability:
        return
    take_back(cluster, agent.offers, rescind=True)
    drop_inverse_offers(cluster, list(agent.inverse_offers.values()), rescind=True)
    cluster.drains.forget(agent.id)
    agent.unavailability = unavailability
    if unavailability is not None:
        cluster.drains.agents[agent.id] = None
        _tick(cluster)
    cluster.allocator.touch(agent.id)


def _tick(cluster: Cluster) -> None:
    if cluster.drains.agents and not cluster.drains.ticking:
        cluster.drains.ticking = True
        cluster.at(cluster.config.allocation_interval_s, Kind.INVERSE)


def on_tick(cluster: Cluster) -> None:
    cluster.drains.ticking = False
    wanted: dict[str, list[InverseOffer]] = {}
    for name in cluster.drains.agents:
        agent = cluster.agents[name]
        for framework in _holders(cluster, agent):
            if (
                framework.active
                and framework.id not in agent.inverse_offers
                and not _is_quiet(cluster, agent, framework)
            ):
                wanted.setdefault(framework.id, []).append(_make(cluster, agent, framework))
    for name, offers in wanted.items():
        event = Event(type=EventType.INVERSE_OFFERS, inverse_offers=InverseOffers(inverse_offers=tuple(offers)))
        cluster.send(cluster.frameworks[name], event)
    _tick(cluster)


def _holders(cluster: Cluster, agent: Agent) -> list[Framework]:
    """With something used or offered there."""
    names = dict.fromkeys([*agent.frameworks, *(cluster.offers[offer].framework for offer in agent.offers)])
    return [cluster.frameworks[name] for name in names if name in cluster.frameworks]


def _is_quiet(cluster: Cluster, agent: Agent, framework: Framework) -> bool:
    until = cluster.drains.quiet_until.get((agent.id, framework.id))
    return until is not None and cluster.now.mono < until


def _make(cluster: Cluster, agent: Agent, framework: Framework) -> InverseOffer:
    assert agent.unavailability is not None
    record = InverseRecord(cluster.new_offer_id(), framework.id, agent.id)
    cluster.inverse_offers[record.id] = record
    framework.inverse_offers[record.id] = None
    agent.inverse_offers[framework.id] = record.id
    return InverseOffer(
        id=OfferID(value=record.id),
        framework_id=framework.framework_id,
        unavailability=agent.unavailability,
        agent_id=agent.agent_id,
        url=agent.url,
    )


def _forget(cluster: Cluster, offer: str) -> InverseRecord:
    record = cluster.inverse_offers.pop(offer)
    framework, agent = cluster.frameworks.get(record.framework), cluster.agents.get(record.agent)
    if framework is not None:
        framework.inverse_offers.pop(offer, None)
    if agent is not None:
        agent.inverse_offers.pop(record.framework, None)
    return record


def drop_inverse_offers(cluster: Cluster, offers: Iterable[str], rescind: bool) -> None:
    for offer in list(offers):
        record = _forget(cluster, offer)
        if rescind:
            payload = RescindInverseOffer(inverse_offer_id=OfferID(value=offer))
            event = Event(type=EventType.RESCIND_INVERSE_OFFER, rescind_inverse_offer=payload)
            cluster.send(cluster.frameworks[record.framework], event)


def answer(
    cluster: Cluster, framework: Framework, offers: Iterable[OfferID], filters: Filters | None, status: str
) -> None:
    """ACCEPT or DECLINE; of inverse offers that are no longer there nothing is said."""
    for offer in offers:
        if offer.value not in framework.inverse_offers:
            continue
        record = _forget(cluster, offer.value)
        said = Said(framework_id=framework.framework_id, status=status, timestamp=cluster.time_info)
        cluster.drains.said.setdefault(record.agent, {})[framework.id] = said
        cluster.drains.quiet_until[record.agent, framework.id] = cluster.now.mono + refusal_of(filters)
