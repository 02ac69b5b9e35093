"""`/cluster`, and who has what in it: roles, quota, tiers, hosts."""

from __future__ import annotations

from scheduler.api.asked import Asked
from scheduler.api.words import listed, page_of
from scheduler.service import queries
from scheduler.service.cluster_queries import Hosts, RoleQuota, TierTable
from scheduler.service.context import Told
from scheduler.service.job_queries import Roles
from thermos.version import VERSION


class MesosView(Told, frozen=True):
    subscribed: bool
    master: str | None


class ClusterView(Told, frozen=True):
    """`scheduler` is its host, `role` the one in Mesos."""

    cluster: str
    version: str
    framework_id: str | None
    scheduler: str
    started_at: int
    web_url: str
    observer_port: int
    mesos: MesosView
    role: str


def cluster(asked: Asked) -> ClusterView:
    settings, mesos = asked.settings, asked.loop.describe_mesos()
    return ClusterView(
        cluster=settings.service.cluster,
        version=VERSION,
        framework_id=asked.context.tables.framework_id,
        scheduler=settings.hostname,
        started_at=int(settings.started_at.wall * 1000),
        web_url=settings.web_url(),
        observer_port=settings.observer_port,
        mesos=MesosView(subscribed=asked.loop.engine.is_registered, master=mesos.get("master")),
        role=settings.role,
    )


def roles(asked: Asked) -> Roles:
    return queries.roles(asked.context)


def quota(asked: Asked) -> RoleQuota:
    return queries.quota(asked.context, asked.part("role"))


def tiers(asked: Asked) -> TierTable:
    return queries.tiers(asked.context)


def hosts(asked: Asked) -> Hosts:
    return queries.hosts(asked.context, listed(asked.request, "names"), page_of(asked.request, 10_000))
