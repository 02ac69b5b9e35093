"""What `{{…}}` may mean besides the author's own names, and when it gets its value.

| reference | bound by | when |
|---|---|---|
| `mesos.role`, `mesos.cluster`, `thermos.user` | the client, from the job itself | before anything is sent |
| `mesos.instance`, `mesos.hostname` | the host | when the instance is placed |
| `thermos.task_id`, `thermos.ports[NAME]` | the host | when the task starts |

So a job that is sent may still contain the last two rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.core.ports import port_name

#: Bound to every job by the client: in words of the job's own fields, so that they follow later overrides.
JOB_BINDINGS: Mapping[str, Mapping[str, str]] = {
    "mesos": {"role": "{{role}}", "cluster": "{{cluster}}"},
    "thermos": {"user": "{{role}}"},
}

#: References that only the host can bind (and `thermos.ports[NAME]`).
HOST_REFS = frozenset({"mesos.instance", "mesos.hostname", "thermos.task_id"})


def is_host_ref(address: str) -> bool:
    """Whether `address` may stay unbound until the host binds it."""
    return address in HOST_REFS or port_name(address) is not None


def host_context(
    *,
    ports: Mapping[str, int],
    task_id: str | None = None,
    user: str | None = None,
    instance: int | None = None,
    hostname: str | None = None,
) -> dict[str, dict[str, Any]]:
    """The values a host binds, as `mesos` and `thermos` mappings; what is None stays unbound (0 is a value)."""
    mesos = {"instance": instance, "hostname": hostname}
    thermos = {"task_id": task_id, "user": user}
    return {
        "mesos": {name: value for name, value in mesos.items() if value is not None},
        "thermos": {name: value for name, value in thermos.items() if value is not None} | {"ports": dict(ports)},
    }


def unbound_text(address: str) -> str:
    """What to tell about a reference that nothing binds."""
    hint = f"bind it with --bind {address}=… or .bind(…)"
    if address.startswith(("mesos.", "thermos.")) and not is_host_ref(address):
        hint = "there are mesos.{instance,hostname,role,cluster} and thermos.{task_id,user,ports[NAME]}"
    return f"Config contains unbound variables: {{{{{address}}}}}; {hint}"
