"""Operators who listen: SUBSCRIBE of the v1 operator API. First all that there is, then changes, and heartbeats."""

from __future__ import annotations

from mesos.local.core import protocol, views
from mesos.local.core.cluster import Cluster, Kind, SendOperator


def subscribe(cluster: Cluster, stream_id: str) -> None:
    while len(cluster.operators) >= cluster.config.max_operator_event_stream_subscribers:
        oldest = next(iter(cluster.operators))
        del cluster.operators[oldest]
        cluster.effects.append(protocol.CloseStream(stream_id=oldest))
    cluster.operators[stream_id] = None
    payload = {
        "get_state": views.state_view(cluster),
        "heartbeat_interval_seconds": cluster.config.heartbeat_interval_s,
    }
    cluster.effects.append(SendOperator(stream_id=stream_id, event={"type": "SUBSCRIBED", "subscribed": payload}))
    heartbeat(cluster, stream_id)


def heartbeat(cluster: Cluster, stream_id: str) -> None:
    if stream_id in cluster.operators:
        cluster.effects.append(SendOperator(stream_id=stream_id, event={"type": "HEARTBEAT"}))
        cluster.at(cluster.config.heartbeat_interval_s, Kind.OPERATOR_HEARTBEAT, stream_id)


def stream_closed(cluster: Cluster, stream_id: str) -> None:
    cluster.operators.pop(stream_id, None)
