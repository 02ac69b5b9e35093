"""A plan of a local cluster for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from client.aurora.local_plan import LocalPlan, Ports, attributes_of, hosts_of


def plan(work_dir: Path | str = "/work", **changes: Any) -> LocalPlan:
    hosts = changes.pop("hosts", hosts_of(4))
    given: dict[str, Any] = {
        "cluster": "rz1",
        "work_dir": str(work_dir),
        "root": "/root-of-thermos",
        "user": "ann",
        "ports": Ports(mesos=5050, scheduler=8081, observer=1338),
        "hosts": hosts,
        "attributes": attributes_of(hosts, ()),
        "clusters_file": "/home/ann/.aurora/clusters.json",
    }
    return LocalPlan(**given | changes)
