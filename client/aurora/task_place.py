"""Where an instance runs, where its sandbox lies there, and what a command for it says. Pure.

A command goes to a shell on the host: what we put into it is quoted but for the wildcards in the sandbox's path. Hosts,
users and task ids that could be taken for options or shell syntax are refused, whoever named them.

Source: spec/scheduler.md §11.2 (task verbs), spec/thermos.md §1.5.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from client.clusters import Cluster
from client.job_keys import ClusterJobKey
from config.core.binding import host_context
from config.core.ports import port_name
from thermos.errors import RemoteError, UserError

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*")
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\$-]*")
_MUSTACHE = re.compile(r"{{([^{}]+)}}")


@dataclass(frozen=True, slots=True)
class TaskPlace:
    """One instance on its host."""

    job: ClusterJobKey
    instance: int
    task_id: str
    host: str
    agent_id: str
    ports: Mapping[str, int]


def task_place(job: ClusterJobKey, task: Mapping[str, Any]) -> TaskPlace:
    """Of a ScheduledTask. Raises RemoteError for what no scheduler would say."""
    try:
        assigned = task["assignedTask"]
        place = TaskPlace(
            job=job,
            instance=int(assigned["instanceId"]),
            task_id=str(assigned["taskId"]),
            host=str(assigned["slaveHost"]),
            agent_id=str(assigned["slaveId"]),
            ports={str(name): int(port) for name, port in (assigned.get("assignedPorts") or {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RemoteError(f"the scheduler of {job.cluster} describes a task of {job} in a way unknown here") from error
    for what, value, form in (
        ("task id", place.task_id, _ID),
        ("host", place.host, _HOST),
        ("agent", place.agent_id, _ID),
    ):
        if not form.fullmatch(value):
            raise RemoteError(f"instance {place.instance} of {job} has the {what} {value[:80]!r}, which is none")
    return place


def ssh_target(place: TaskPlace, user: str | None) -> str:
    """`USER@HOST`; without a user it is the job's role. Raises UserError."""
    name = place.job.role if user is None else user
    if not _USER.fullmatch(name):
        raise UserError(f"bad user {name!r}: it can't be a user's name; see --ssh-user")
    return f"{name}@{place.host}"


def sandbox_path(cluster: Cluster, place: TaskPlace, *, executor: bool, framework: str = "*") -> str:
    """Where the sandbox is on the host, with wildcards for what is not known; with `executor` that of its executor.

    Raises UserError.
    """
    if not cluster.slave_root:
        raise UserError(
            f'cluster {cluster.name} has no "slave_root" in {cluster.file}, the work directory of its Mesos agents; '
            "without it no sandbox can be found"
        )
    agent = "*" if framework == "*" else place.agent_id
    task = f"slaves/{agent}/frameworks/{framework}/executors/thermos-{place.task_id}"
    path = f"{cluster.slave_root.rstrip('/')}/{task}/runs/{cluster.slave_run_directory}"
    return path if executor else f"{path}/sandbox"


def in_sandbox(path: str, command: str) -> str:
    """The command for a shell, to be run there and nowhere else; wildcards in the path are meant as such."""
    word = re.sub(r"[^*?]+", lambda part: shlex.quote(part[0]), path)
    return f"cd {word} || exit 1; {command}"


def substitute(text: str, place: TaskPlace) -> str:
    """The text with what it says of `mesos` and `thermos`; `{{&x}}` is the text `{{x}}`, other braces stay.

    Raises UserError for a reference that has no value.
    """
    values = host_context(
        ports=place.ports,
        task_id=place.task_id,
        user=place.job.role,
        instance=place.instance,
        hostname=place.host,
    )
    values |= {"mesos.role": place.job.role, "mesos.cluster": place.job.cluster}

    def value_of(match: re.Match[str]) -> str:
        address = match[1]
        if address.startswith("&"):
            return f"{{{{{address[1:]}}}}}"
        if address in values:
            return str(values[address])
        if address.startswith(("mesos.", "thermos.")):
            raise UserError(_no_value(address, place))
        return match[0]

    return _MUSTACHE.sub(value_of, text)


def _no_value(address: str, place: TaskPlace) -> str:
    name = port_name(address)
    if name is None:
        there_are = "mesos.{instance,hostname,role,cluster} and thermos.{task_id,user,ports[NAME]}"
        return f"nothing is known as {{{{{address}}}}}; there are {there_are}"
    return f"{no_port(name, place)}, so {{{{{address}}}}} has no value"


def no_port(name: str, place: TaskPlace) -> str:
    """What to say of a port that is not there."""
    known = f"it has {', '.join(sorted(place.ports))}" if place.ports else "it has none"
    return f"Task {place.task_id} has no port named {name} ({known})"


def parse_tunnel(text: str, place: TaskPlace) -> tuple[int, int]:
    """(port here, port there) of a tunnel `PORT:NAME`. Raises UserError."""
    port, _, name = text.partition(":")
    if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536 or not name:
        raise UserError(f"Could not parse tunnel: {text}.  Must be of form PORT:NAME")
    if name not in place.ports:
        raise UserError(no_port(name, place))
    return int(port), place.ports[name]


def tunnel_words(here: int, there: int, host: str) -> list[str]:
    """The words for ssh."""
    return ["-L", f"{here}:{f'[{host}]' if ':' in host else host}:{there}"]
