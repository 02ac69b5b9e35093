"""Real Mesos 1.11, run by the kit on loopback; its blocking verbs run in a thread."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.mesos.conformance.asking import get, until
from tests.mesos.conformance.target import ROOT, Wanted, resources_of


class RealMesos:
    """The kit's cluster, with short pings so that a lost agent is noticed within seconds."""

    real = True

    def __init__(self, kit: Path, work_dir: Path, port: int, wanted: Wanted) -> None:
        cluster = _kit_module(kit).Cluster
        flags: dict[str, Any] = {
            "agent_ping_timeout": "1secs",
            "max_agent_ping_timeouts": 3,
            "allocation_interval": "200ms",
        }
        agent_flags: dict[str, Any] = {"executor_reregistration_timeout": "5secs"}
        if wanted.credentials:
            path = work_dir / "credentials.json"
            work_dir.mkdir(parents=True, exist_ok=True)
            pairs = [{"principal": name, "secret": secret} for name, secret in wanted.credentials.items()]
            path.write_text(json.dumps({"credentials": pairs}))
            key = work_dir / "jwt.key"
            key.write_text("secret")
            key.chmod(0o600)
            flags |= {
                "authenticate_http_frameworks": True,
                "http_framework_authenticators": "basic",
                "authenticate_http_readwrite": True,
                "credentials": str(path),
            }
            agent_flags |= {
                "jwt_secret_key": str(key),
                "authenticate_http_executors": True,
                "http_credentials": str(path),
            }
        self._cluster = cluster(
            str(work_dir),
            port=port,
            agents=wanted.agents,
            masters=wanted.masters,
            master_flags=flags,
            agent_flags=agent_flags,
            attributes=wanted.attributes,
            resources=resources_of(port, wanted.agents),
        )
        self.port = port
        self.agents, self.masters = wanted.agents, wanted.masters
        self.master_url: str = self._cluster.master_url
        self.leader_text: str = self._cluster.zk or self.master_url

    async def start(self) -> None:
        await asyncio.to_thread(self._cluster.start)
        if self.masters > 1:  # before that, two of three masters are no quorum
            for number in range(self.masters):
                await until(partial(_log_has_recovered, self.url_of_master(number)), "recovered log", 60)

    async def stop(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # the kit leaves closing to the garbage collector
            await asyncio.to_thread(self._cluster.stop)
            for child in self._cluster._children.values():
                child.wait(10)

    async def kill_agent(self, number: int) -> None:
        await asyncio.to_thread(self._cluster.kill_agent, number)
        self._reap(f"agent{number}")

    async def start_agent(self, number: int) -> None:
        self._reap(f"agent{number}")
        await asyncio.to_thread(self._cluster.start_agent, number)

    async def shutdown_agent(self, number: int) -> None:
        await asyncio.to_thread(self._cluster.kill_agent, number, signal.SIGUSR1)
        self._reap(f"agent{number}")

    async def forget_agent(self, number: int) -> None:
        await asyncio.to_thread(self._cluster.forget_agent, number)

    async def agent_is_up(self, number: int) -> bool:
        return bool(await asyncio.to_thread(self._cluster.alive, f"agent{number}"))

    async def kill_master(self, number: int = 0) -> None:
        await asyncio.to_thread(self._cluster.kill_master, number)
        self._reap(self._cluster.master_name(number))

    def _reap(self, name: str) -> None:
        """The kit forgets a child that it started again before it had waited for it."""
        self._cluster._children[name].wait(10)

    async def start_master(self, number: int = 0) -> None:
        self._reap(self._cluster.master_name(number))
        await asyncio.to_thread(self._cluster.start_master, number)

    async def leader(self) -> int | None:
        leader: int | None = await asyncio.to_thread(self._cluster.leader)
        return leader

    def url_of_master(self, number: int) -> str:
        return str(self._cluster.url_of_master(number))

    def agent_url(self, number: int) -> str:
        return str(self._cluster.agent_url(number))

    def agent_work_dir(self, number: int) -> Path:
        return Path(self._cluster.agent_work_dir(number))


async def _log_has_recovered(url: str) -> bool:
    status, metrics = await get(url, "/metrics/snapshot")
    return status == 200 and metrics.get("registrar/log/recovered") == 1.0


def _kit_module(kit: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("mesos_kit", kit / "mesos_local.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kit_folder() -> Path | None:
    """The kit that $MESOS_KIT names, or that lies beside the project; None if there is none."""
    given = os.environ.get("MESOS_KIT")
    folder = Path(given) if given else ROOT.parent / "shared" / "mesos-kit"
    return folder if (folder / "mesos_local.py").is_file() else None


def build_kit(kit: Path) -> None:
    """As its README says; does nothing when it is built already. The kit may be read-only: it builds elsewhere."""
    os.environ.setdefault("MESOS_KIT_PREFIX", str(ROOT / ".mesos-kit"))
    subprocess.run([str(kit / "setup.sh"), "--zookeeper"], check=True, stdout=sys.stderr)
