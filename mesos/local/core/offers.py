"""Offers: made of what the allocator grants, taken back, declined, out of date.

An offer is in the books from OFFERS until it is accepted, declined, rescinded, or its framework or agent goes. Who
removes it says what becomes of its resources.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from mesos.core.messages import (
    AllocationInfo,
    ExecutorID,
    Filters,
    FrameworkID,
    Offer,
    OfferID,
    Resource,
)
from mesos.core.scheduler_api import Event, EventType, Offers, Rescind
from mesos.local.core.cluster import Cluster, Kind, OfferRecord
from mesos.local.core.frameworks import Framework
from mesos.local.core.resources import Resources

DEFAULT_REFUSE_S = 5.0
MAX_REFUSE_S = 365 * 86400.0


def make_offers(cluster: Cluster) -> None:
    """What the allocator grants now, one OFFERS event for each framework."""
    by_framework: dict[str, list[Offer]] = {}
    for grant in cluster.allocator.allocate():
        record = OfferRecord(cluster.new_offer_id(), grant.framework, grant.agent, grant.role, grant.resources)
        cluster.offers[record.id] = record
        framework = cluster.frameworks[grant.framework]
        framework.offers[record.id] = None
        cluster.agents[grant.agent].offers[record.id] = None
        by_framework.setdefault(grant.framework, []).append(offer_message(cluster, record, framework))
        if cluster.config.offer_timeout_s is not None:
            cluster.at(cluster.config.offer_timeout_s, Kind.OFFER, record.id)
    for name, offers in by_framework.items():
        cluster.counts["offers"] += len(offers)
        cluster.send(cluster.frameworks[name], Event(type=EventType.OFFERS, offers=Offers(offers=tuple(offers))))


def offer_message(cluster: Cluster, record: OfferRecord, framework: Framework, full: bool = False) -> Offer:
    """As this framework understands it; `full`, as operators see it."""
    agent = cluster.agents[record.agent]
    told = full or framework.multi_role
    return Offer(
        id=OfferID(value=record.id),
        framework_id=FrameworkID(value=record.framework),
        agent_id=agent.agent_id,
        hostname=agent.info.hostname,
        url=agent.url,
        domain=agent.info.domain,
        resources=record.resources.as_messages() if full else shown_to(framework, record.resources),
        attributes=agent.info.attributes,
        executor_ids=tuple(ExecutorID(value=name) for name in agent.executors.get(record.framework, ())),
        unavailability=agent.unavailability,
        allocation_info=AllocationInfo(role=record.role) if told else None,
    )


def shown_to(framework: Framework, resources: Resources) -> tuple[Resource, ...]:
    """In the form that the framework knows: old reservations, no allocation."""
    if not framework.refinement:
        return resources.old_form(allocation=framework.multi_role)
    messages = resources.as_messages()
    if framework.multi_role:
        return messages
    return tuple(msgspec.structs.replace(message, allocation_info=None) for message in messages)


def forget_offer(cluster: Cluster, offer: str) -> OfferRecord:
    """Out of the books; its resources are the caller's to deal with."""
    record = cluster.offers.pop(offer)
    framework, agent = cluster.frameworks.get(record.framework), cluster.agents.get(record.agent)
    if framework is not None:
        framework.offers.pop(offer, None)
    if agent is not None:
        agent.offers.pop(offer, None)
    return record


def take_back(cluster: Cluster, offers: Iterable[str], rescind: bool) -> None:
    """Their resources are free again; `rescind`: and the framework is told."""
    for offer in list(offers):
        record = forget_offer(cluster, offer)
        cluster.allocator.recover(record.framework, record.agent, record.resources)
        if rescind:
            event = Event(type=EventType.RESCIND, rescind=Rescind(offer_id=OfferID(value=offer)))
            cluster.counts["rescinded"] += 1
            cluster.send(cluster.frameworks[record.framework], event)


def decline(cluster: Cluster, framework: Framework, offers: Iterable[OfferID], filters: Filters | None) -> None:
    """Offers that are no longer the framework's are passed over, as Mesos does."""
    refuse_s = refusal_of(filters)
    for offer in offers:
        if offer.value in framework.offers:
            record = forget_offer(cluster, offer.value)
            cluster.allocator.recover(framework.id, record.agent, record.resources, refuse_s, cluster.now.mono)
            cluster.counts["declined"] += 1


def refusal_of(filters: Filters | None) -> float:
    """Seconds; what Mesos can't make sense of is its default, and nothing is refused for more than a year."""
    if filters is None:
        return DEFAULT_REFUSE_S
    seconds = filters.refuse_seconds
    if seconds != seconds or seconds < 0:
        return DEFAULT_REFUSE_S
    return min(seconds, MAX_REFUSE_S)
