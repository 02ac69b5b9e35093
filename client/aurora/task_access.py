"""How the task verbs come to a sandbox: which instances there are, ssh to their hosts, or, in a cluster of `aurora
local`, no ssh at all: everything is on this machine, so commands are run here, by /bin/sh in the sandbox.

Such a cluster's entry says where: `"local": {"work_dir": PATH}`; agents have theirs below that (`local_plan`).
"""

from __future__ import annotations

import glob
import shlex
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from client.aurora.context import Context
from client.aurora.local_plan import is_local
from client.aurora.options import together
from client.aurora.task_place import TaskPlace, in_sandbox, sandbox_path, ssh_target, substitute, task_place
from client.clusters import Cluster
from client.job_keys import Chosen, instance_ranges
from thermos.errors import HostError, UserError

F = TypeVar("F", bound=Callable[..., Any])

#: In these it runs on a host; a command is run for all of them.
LIVE = ("RUNNING", "KILLING", "PREEMPTING", "RESTARTING", "DRAINING", "PARTITIONED")

#: In these it may have a sandbox already, and somebody wants to look why it does not get on.
ON_A_HOST = ("ASSIGNED", "STARTING", *LIVE)


def access_options(function: F) -> F:
    """How to come to the host, and which sandbox is meant."""
    return together(
        click.option("-l", "--ssh-user", metavar="NAME", help="User on the host.  [default: the job's role]"),
        click.option("--ssh-options", metavar="WORDS", default="", help="More options for ssh, e.g. '-o Port=2222'."),
        executor_sandbox_option,
    )(function)


def executor_sandbox_option(function: F) -> F:
    return click.option(
        "--executor-sandbox", is_flag=True, help="The sandbox of the executor, not that of the processes."
    )(function)


def parse_words(option: str, text: str) -> list[str]:
    """The words of an option as a shell would see them. Raises UserError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"bad {option} {text!r}: {error}") from error


def find_places(context: Context, chosen: Chosen, states: Iterable[str]) -> list[TaskPlace]:
    """The chosen instances in these states, by number. Raises UserError if there are none."""
    job, wanted = chosen
    query = {
        "role": job.role,
        "environment": job.environment,
        "name": job.name,
        "instances": None if wanted is None else instance_ranges(wanted),
        "statuses": ",".join(states),
        "configs": "false",
    }
    found = [task_place(job, task) for task in context.api(job.cluster).pages("/tasks", "tasks", query)]
    if not found:
        raise UserError(f"{_nothing(chosen)} on a host; see `aurora job status {job}`")
    return sorted(found, key=lambda place: (place.instance, place.task_id))


def _nothing(chosen: Chosen) -> str:
    if chosen.instances is None:
        return f"no instance of {chosen.job} is running"
    if len(chosen.instances) == 1:
        return f"instance {chosen.instances[0]} of {chosen.job} is not running"
    return f"none of the instances {instance_ranges(chosen.instances)} of {chosen.job} is running"


def program(name: str) -> str:
    """Where a program is. Raises HostError."""
    found = shutil.which(name)
    if found is None:
        raise HostError(f"cannot find the program {name}; install it, or put it on the PATH")
    return found


def is_here(cluster: Cluster) -> bool:
    """Whether all hosts are this machine."""
    return is_local(cluster.fields)


def local_sandbox(cluster: Cluster, place: TaskPlace, *, executor: bool) -> Path:
    """The sandbox on this machine. Raises HostError: it is not there."""
    root = str(cluster.fields["local"].get("work_dir"))
    task = f"slaves/{place.agent_id}/frameworks/*/executors/thermos-{place.task_id}/runs/latest"
    path = f"{glob.escape(root)}/mesos/agent*/work/{task}{'' if executor else '/sandbox'}"
    found = sorted(glob.glob(path))  # noqa: PTH207 - a part of the pattern is no pattern
    if not found:
        raise HostError(f"cannot find the sandbox of task {place.task_id} below {root}")
    return Path(found[0])


def shell_words(
    cluster: Cluster, place: TaskPlace, command: str, *, ssh: Sequence[str], user: str | None, executor: bool
) -> list[str]:
    """What to execute so that the command runs in the sandbox; `ssh` are the options for it.

    Raises UserError, HostError.
    """
    command = substitute(command, place)
    if is_here(cluster):
        sandbox = local_sandbox(cluster, place, executor=executor)
        return ["/bin/sh", "-c", f"cd {shlex.quote(str(sandbox))} || exit 1; {command}"]
    path = sandbox_path(cluster, place, executor=executor)
    return [program("ssh"), *ssh, ssh_target(place, user), in_sandbox(path, command)]
