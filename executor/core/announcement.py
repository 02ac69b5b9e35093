"""What an instance announces in ZooKeeper, and where: a ServerSet member, byte for byte as clients have always read it.

    <root>/<role>/<environment>/<job>/member_0000000007
    {"serviceEndpoint":{"host":"h","port":31001},"additionalEndpoints":{"aurora":{"host":"h","port":31001},…},
     "status":"ALIVE","shard":3}

A job may ask for a path of its own (`Announcer.zk_path`) where the executor allows it. What is wrong with a path or
with the servers' addresses is told before anybody connects.

Source: spec/thermos.md §4.6.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from msgspec import Struct

from executor.core.health_policy import HealthLimits
from thermos.errors import UserError

#: Members are ephemeral nodes whose sequence number ZooKeeper appends.
MEMBER_PREFIX = "member_"

#: What a ZooKeeper node can't be called with.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff\U00010000-\U0010ffff]")  # (in UTF-16)

_SERVER = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(:(?P<port>[0-9]{1,5}))?")


class Announcement(Struct, frozen=True):
    """Of one instance. `ports` are all of the task's, aliases resolved; `primary` names the service endpoint's."""

    path: str
    hostname: str
    primary: str
    ports: Mapping[str, int]
    shard: int

    @property
    def data(self) -> bytes:
        """The member's content. A primary port that the task does not have is port 0, as it always was."""
        endpoints = {name: self._endpoint(port) for name, port in sorted(self.ports.items())}
        member = {
            "serviceEndpoint": self._endpoint(self.ports.get(self.primary, 0)),
            "additionalEndpoints": endpoints,
            "status": "ALIVE",
            "shard": self.shard,
        }
        return json.dumps(member, separators=(",", ":")).encode()

    def _endpoint(self, port: int) -> dict[str, object]:
        return {"host": self.hostname, "port": port}


def announcement_path(root: str, role: str, environment: str, job: str) -> str:
    """Where the members of a job are, unless the job has a path of its own."""
    return "/" + "/".join(part.strip("/") for part in (root, role, environment, job) if part.strip("/"))


def choose_path(root: str, role: str, environment: str, job: str, zk_path: str | None, *, allowed: bool) -> str:
    """The path of a job's members; `allowed` says whether one of its own (`zk_path`) is. Raises UserError."""
    if zk_path is None:
        path = announcement_path(root, role, environment, job)
    elif allowed:
        path = zk_path.rstrip("/") or "/"
    else:
        raise UserError(
            f"cannot announce at {zk_path!r}: the executor must be started with"
            " --announcer-allow-custom-serverset-path to use zk_path in the Announcer config"
        )
    refusal = path_refusal(path)
    if refusal is not None:
        raise UserError(f"cannot announce at {path!r}: {refusal}")
    return path


def path_refusal(path: str) -> str | None:
    """Why ZooKeeper has no node of that name, or ours should not be below it; None: it may be used."""
    if not path.startswith("/"):
        return "a path in ZooKeeper begins with /"
    parts = path[1:].split("/")
    if "" in parts:
        return "it names no node" if path == "/" else "there is nothing between two of its slashes"
    if "." in parts or ".." in parts:
        return "a node is not called . or .."
    if _FORBIDDEN.search(path):
        return "it has a character that ZooKeeper does not take"
    if parts[0] == "zookeeper":
        return "/zookeeper belongs to ZooKeeper itself"
    return None


def check_ensemble(text: str) -> str:
    """`host:port,host:port[/below]` as kazoo takes it, without blanks. Raises UserError."""
    servers, slash, below = text.partition("/")
    found = [part.strip() for part in servers.split(",")]
    for server in found:
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match["port"] or 2181) < 65536:
            raise UserError(f"cannot use {text!r} as a ZooKeeper ensemble: {server!r} is no host:port")
    if slash and below.strip("/") and (refusal := path_refusal("/" + below.strip().rstrip("/"))) is not None:
        raise UserError(f"cannot use {text!r} as a ZooKeeper ensemble: {refusal}")
    return ",".join(found) + (f"/{below.strip().strip('/')}" if below.strip("/ ") else "")


def connect_wait_s(limits: HealthLimits) -> float:
    """How long a task that begins waits for ZooKeeper: as long as its health checks may fail."""
    return limits.initial_interval_s + limits.max_failures * limits.interval_s
