"""Where the scheduler of a cluster is: its `scheduler_uri`, or what the leader has written into ZooKeeper.

Source: spec/scheduler.md §8.3, §11.3.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from client.api_errors import NetworkError
from client.clusters import Cluster
from client.connection import Origin, parse_origin
from thermos.errors import UserError

LOOKUP_S = 10.0
#: Nodes of the serverset; others are candidates.
_MEMBER = "member_"
#: kazoo tells of each try; what came of them is told once, by whoever asked.
_SILENT = logging.Logger("zookeeper", logging.CRITICAL + 1)


def find_scheduler(cluster: Cluster) -> Origin:
    """Raises UserError: the entry does not say; NetworkError: ZooKeeper does not answer, or has no leader."""
    where = f"{cluster.file}: cluster {cluster.name!r}"
    if cluster.auth_mechanism.upper() not in ("UNAUTHENTICATED", "BASIC"):
        raise UserError(
            f"{where}: auth_mechanism {cluster.auth_mechanism} is not supported; basic authentication is, with ~/.netrc"
        )
    if cluster.scheduler_uri:
        return parse_origin(cluster.scheduler_uri, f"{where}: scheduler_uri")
    if not cluster.zk or not cluster.scheduler_zk_path:
        raise UserError(f"{where}: it has neither scheduler_uri nor zk and scheduler_zk_path")
    return parse_member(cluster, read_serverset(zookeeper_hosts(cluster), cluster.scheduler_zk_path))


def zookeeper_hosts(cluster: Cluster) -> str:
    """`host:port,host:port`."""
    hosts = [host.strip() for host in (cluster.zk or "").split(",") if host.strip()]
    return ",".join(host if ":" in host else f"{host}:{cluster.zk_port}" for host in hosts)


def read_serverset(hosts: str, path: str) -> list[bytes]:
    """What the members have written, oldest first. Raises NetworkError."""
    from kazoo.client import KazooClient  # noqa: PLC0415 - only where a cluster is found through ZooKeeper
    from kazoo.exceptions import KazooException, NoNodeError  # noqa: PLC0415
    from kazoo.handlers.threading import KazooTimeoutError  # noqa: PLC0415

    client = KazooClient(hosts=hosts, read_only=True, logger=_SILENT)
    try:
        client.start(timeout=LOOKUP_S)
        names = sorted(name for name in client.get_children(path) if name.startswith(_MEMBER))
        return [client.get(f"{path}/{name}")[0] for name in names]
    except NoNodeError as error:
        raise NetworkError(f"no scheduler leads: ZooKeeper {hosts} has nothing at {path}") from error
    except KazooTimeoutError as error:
        raise NetworkError(f"cannot connect to ZooKeeper {hosts} within {LOOKUP_S:.0f} s") from error
    except (KazooException, OSError) as error:
        raise NetworkError(f"cannot ask ZooKeeper {hosts} for {path}: {error or type(error).__name__}") from error
    finally:
        client.stop()
        client.close()


def parse_member(cluster: Cluster, members: list[bytes]) -> Origin:
    """The endpoint that the leader announced. Raises NetworkError."""
    at = f"ZooKeeper {zookeeper_hosts(cluster)} at {cluster.scheduler_zk_path}"
    if not members:
        raise NetworkError(f"no scheduler leads: there is no member in {at}")
    try:
        document: Any = json.loads(members[0])
        extra = document.get("additionalEndpoints") or {}
        scheme = "https" if "https" in extra else "http"
        endpoint = extra.get(scheme) or document["serviceEndpoint"]
        return Origin(scheme, str(endpoint["host"]), int(endpoint["port"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NetworkError(f"what {at} says of the leader is not understood: {members[0][:80]!r}") from error
