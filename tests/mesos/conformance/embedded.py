"""Our embedded Mesos as a target. Several masters elect their leader through a real ZooKeeper, as real ones do."""

from __future__ import annotations

from pathlib import Path

from mesos.local.cluster import LocalCluster
from tests.mesos.conformance.target import Wanted, resources_of
from tests.mesos.zookeeper import ZooKeeperServer


class EmbeddedMesos:
    real = False

    def __init__(self, work_dir: Path, port: int, wanted: Wanted) -> None:
        self._zookeeper = ZooKeeperServer(work_dir / "zookeeper") if wanted.masters > 1 else None
        self._work_dir, self.port, self._wanted = work_dir, port, wanted
        self._cluster: LocalCluster | None = None
        self.agents, self.masters = wanted.agents, wanted.masters
        self.master_url = f"http://127.0.0.1:{port}"
        self.leader_text = self.master_url

    async def start(self) -> None:
        if self._zookeeper is not None:
            self._zookeeper.start()
            self.leader_text = f"zk://{self._zookeeper.address}/mesos"
        self._cluster = LocalCluster(
            self._work_dir,
            self.port,
            agents=self._wanted.agents,
            masters=self._wanted.masters,
            zk=self.leader_text if self._zookeeper is not None else None,
            credentials=dict(self._wanted.credentials) or None,
            attributes=self._wanted.attributes,
            resources=resources_of(self.port, self.agents),
            master_options={"agent_ping_timeout_s": 1.0, "max_agent_ping_timeouts": 3, "allocation_interval_s": 0.2},
            agent_options={"executor_reregistration_timeout_s": 5.0},
        )
        await self._cluster.start()

    async def stop(self) -> None:
        if self._cluster is not None:
            await self._cluster.stop()
        if self._zookeeper is not None:
            self._zookeeper.stop()

    @property
    def cluster(self) -> LocalCluster:
        assert self._cluster is not None
        return self._cluster

    async def kill_agent(self, number: int) -> None:
        await self.cluster.kill_agent(number)

    async def start_agent(self, number: int) -> None:
        await self.cluster.start_agent(number)

    async def shutdown_agent(self, number: int) -> None:
        await self.cluster.shutdown_agent(number)

    async def forget_agent(self, number: int) -> None:
        await self.cluster.forget_agent(number)

    async def agent_is_up(self, number: int) -> bool:
        return self.cluster.agent_is_up(number)

    async def kill_master(self, number: int = 0) -> None:
        await self.cluster.kill_master(number)

    async def start_master(self, number: int = 0) -> None:
        await self.cluster.start_master(number)

    async def leader(self) -> int | None:
        return self.cluster.leader()

    def url_of_master(self, number: int) -> str:
        return self.cluster.url_of_master(number)

    def agent_url(self, number: int) -> str:
        return self.cluster.agent_url(number)

    def agent_work_dir(self, number: int) -> Path:
        return self.cluster.agent_work_dir(number)
