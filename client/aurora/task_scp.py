"""`aurora task scp SRC… DEST`: copy from and to sandboxes; `KEY/INSTANCE:PATH` is a file there, anything else one here.

The path of a sandbox goes to scp without wildcards: newer ones expand none in a destination. In a cluster of this
machine (`task_access`) it is `cp` that copies.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import click

from client.aurora.context import Context
from client.aurora.options import verb_options
from client.aurora.task_access import (
    ON_A_HOST,
    executor_sandbox_option,
    find_places,
    is_here,
    local_sandbox,
    parse_words,
    program,
)
from client.aurora.task_place import sandbox_path, ssh_target, substitute
from client.aurora.task_ssh import run_in_foreground
from client.job_keys import Chosen, parse_one_instance
from thermos.errors import UserError

EPILOG = """
\b
Examples:
  aurora task scp web.conf rz1/www/prod/web/0:conf/web.conf     into the sandbox
  aurora task scp rz1/www/prod/web/0:.logs/server/0/stderr .    out of it
  aurora task scp --scp-options -r rz1/www/prod/web/0:/var/tmp/dump .

\b
A relative path begins in the sandbox; ~ is not known there. It may contain
{{mesos.instance}}, {{thermos.task_id}} and {{thermos.ports[NAME]}}.

\b
Exit codes: that of scp; 6 if the instance is not running.
"""

_IN_A_TASK = re.compile(r"([^/:]+/[^/:]+/[^/:]+/[^/:]+(?:/[^/:]*)?):(.*)", re.DOTALL)

#: Options of scp that `cp` has, too, and those that mean nothing on one machine.
_OF_CP = ("-r", "-p")
_OF_NETWORKS = ("-q", "-C", "-B", "-3", "-4", "-6", "-O", "-T")


class InTask(NamedTuple):
    """A path of an instance."""

    chosen: Chosen
    path: str


@click.command("scp", epilog=EPILOG)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("destination", metavar="DESTINATION")
@click.option("-l", "--ssh-user", metavar="NAME", help="User on the host.  [default: the job's role]")
@click.option("--scp-options", metavar="WORDS", default="", help="More options for scp, e.g. '-r -P 2222'.")
@executor_sandbox_option
@verb_options
def command(context: Context, /, sources: tuple[str, ...], destination: str, **given: Any) -> int:
    """Copy files from and to sandboxes.

    SOURCE and DESTINATION are paths here, or CLUSTER/ROLE/ENV/NAME/INSTANCE:PATH.
    """
    ends = [parse_end(text) for text in (*sources, destination)]
    clusters = [context.cluster(end.chosen.job.cluster) for end in ends if isinstance(end, InTask)]
    options = parse_words("--scp-options", given["scp_options"])
    user, executor = given["ssh_user"], given["executor_sandbox"]
    paths = [end if isinstance(end, str) else _path(context, end, user, executor) for end in ends]
    if clusters and all(map(is_here, clusters)):
        return run_in_foreground([program("cp"), *cp_options(options), "--", *paths])
    return run_in_foreground([program("scp"), *options, *paths])


def parse_end(text: str) -> InTask | str:
    """One end of a copy. Raises UserError."""
    match = _IN_A_TASK.fullmatch(text)
    if match is None:
        return f"./{text}" if text.startswith("-") else text
    key, path = match.groups()
    if path.startswith("~"):
        raise UserError(f"Command does not support tilde expansion for path: {path}")
    job, instance = parse_one_instance(key)
    return InTask(Chosen(job, (instance,)), path)


def cp_options(options: list[str]) -> list[str]:
    """Options of scp as `cp` knows them. Raises UserError."""
    unknown = [word for word in options if word not in _OF_CP + _OF_NETWORKS]
    if unknown:
        raise UserError(f"--scp-options: the cluster is on this machine, where cp copies; it has no {unknown[0]}")
    return [word for word in options if word in _OF_CP]


def _path(context: Context, end: InTask, user: str | None, executor: bool) -> str:
    """The end as scp (or `cp`) takes it."""
    job = end.chosen.job
    cluster = context.cluster(job.cluster)
    place = find_places(context, end.chosen, ON_A_HOST)[0]
    path = substitute(end.path, place)
    if is_here(cluster):
        return path if path.startswith("/") else f"{local_sandbox(cluster, place, executor=executor)}/{path}"
    if not path.startswith("/"):
        framework = str(context.api(job.cluster).get("/cluster").get("frameworkId") or "*")
        path = f"{sandbox_path(cluster, place, executor=executor, framework=framework)}/{path}"
    target = ssh_target(place, user)
    name, _, host = target.rpartition("@")
    return f"{name}@[{host}]:{path}" if ":" in host else f"{target}:{path}"
