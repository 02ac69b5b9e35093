"""What `{{…}}` may mean besides the author's own names, and when it gets its value.

| reference | bound by | when |
|---|---|---|
| `mesos.role`, `mesos.cluster`, `thermos.user` | the client, from the job itself | before anything is sent |
| `docker.image[NAME][TAG]` | `aurora`, from the cluster's Docker registry | before anything is sent |
| `mesos.instance`, `mesos.hostname` | the host | when the instance is placed |
| `thermos.task_id`, `thermos.ports[NAME]` | the host | when the task starts |

Where a task runs without a scheduler (`thermos run`), the host binds `thermos.user`, too: to the user that runs it.
That answers before the client's binding, so it holds for a job of an `.aurora` file as well.

So a job that is sent may still contain the last two rows and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.core.ports import PORT_NAME, port_name

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


def is_task_ref(address: str) -> bool:
    """Whether `address` may stay unbound in a task until a runner binds it."""
    return address in ("thermos.task_id", "thermos.user") or port_name(address) is not None


def host_context(
    *,
    ports: Mapping[str, int],
    task_id: str | None = None,
    user: str | None = None,
    instance: int | None = None,
    hostname: str | None = None,
) -> dict[str, Any]:
    """What a host binds, by address; what is None stays unbound (0 is a value)."""
    values = {
        "mesos.instance": instance,
        "mesos.hostname": hostname,
        "thermos.task_id": task_id,
        "thermos.user": user,
        **{f"thermos.ports[{name}]": port for name, port in ports.items() if PORT_NAME.fullmatch(name)},
    }
    return {address: value for address, value in values.items() if value is not None}


def unbound_job_text(address: str) -> str:
    """What to tell about a reference in a job that nothing binds."""
    return f"Config contains unbound variables: {{{{{address}}}}}; {_hint(address)}"


def unbound_task_text(address: str) -> str:
    """What to tell about a reference in a task that nothing binds."""
    nesting = "Make sure you are not nesting template variables"
    return f"Unexpected unbound refs: {{{{{address}}}}}. {nesting}; {_hint(address)}"


def _hint(address: str) -> str:
    if "processes[" in address:
        return "the task has no such process"
    if address.startswith("docker.image["):
        return f"`aurora` asks a registry for its digest, nobody else does; bind it with --bind {address}=…"
    if address.partition(".")[0] in ("mesos", "thermos"):
        return "there are mesos.{instance,hostname,role,cluster} for jobs and thermos.{task_id,user,ports[NAME]}"
    return f"bind it with --bind {address}=… or .bind(…), or write {{{{&{address}}}}} for the text {{{{{address}}}}}"
