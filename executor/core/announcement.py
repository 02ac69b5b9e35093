"""What an instance announces in ZooKeeper: a ServerSet member, byte for byte as its clients have always read it.

    <root>/<role>/<environment>/<job>/member_0000000007
    {"serviceEndpoint":{"host":"h","port":31001},"additionalEndpoints":{"aurora":{"host":"h","port":31001},…},
     "status":"ALIVE","shard":3}

Source: spec/thermos.md §4.6.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

#: Members are ephemeral nodes whose sequence number ZooKeeper appends.
MEMBER_PREFIX = "member_"


@dataclass(frozen=True, slots=True)
class Announcement:
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
