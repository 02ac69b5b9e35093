"""What is remembered of hosts: attributes as their offers tell them, and the mode that only we decide.

Source: spec/scheduler.md §1.6, §3.1.
"""

from __future__ import annotations

from collections.abc import Mapping

from mesos.core.messages import Offer
from scheduler.core.cluster_model import Attribute, HostAttributes
from scheduler.core.host_offer import HOST, attributes_of
from scheduler.store.ops import SaveHostAttributes
from scheduler.store.tables import Tables
from scheduler.turn import Turn


def record_host(tables: Tables, turn: Turn, offer: Offer) -> bool:
    """Saves what is new of the host that offers; False: nothing is."""
    old = tables.hosts.get(offer.hostname)
    found = attributes_of(offer.hostname, offer.attributes)
    record = HostAttributes(
        host=offer.hostname,
        attributes=tuple(Attribute(name=name, values=tuple(sorted(found[name]))) for name in sorted(found)),
        slave_id=offer.agent_id.value,
    )
    if old is not None:
        record = HostAttributes(host=record.host, attributes=record.attributes, mode=old.mode, slave_id=record.slave_id)
    if record == old:
        return False
    turn.apply(SaveHostAttributes(attributes=record))
    return True


def recorded_attributes(tables: Tables, host: str) -> Mapping[str, frozenset[str]]:
    """Of a host that never offered anything: only its name is known."""
    record = tables.hosts.get(host)
    if record is None:
        return {HOST: frozenset({host})}
    return {each.name: frozenset(each.values) for each in record.attributes}
