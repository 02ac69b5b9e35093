"""`aurora job inspect KEY FILE`: nothing is asked but the config (and the registry, for images)."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.aurora.context import Context
from client.aurora.core.inspect_text import inspect_lines
from client.aurora.docker_digests import bind_images
from client.aurora.jobfile import choose_job
from client.aurora.options import bind_options, config_argument, key_argument, verb_options
from client.clusters import DEFAULT_REGISTRY
from client.job_keys import ClusterJobKey
from config.loader import load_jobs

EPILOG = """
\b
Examples:
  aurora job inspect rz1/www/test/webserver webserver.aurora
  aurora job inspect --raw rz1/www/test/webserver webserver.aurora
  aurora job inspect -o json rz1/www/test/webserver webserver.aurora
"""


@click.command("inspect", epilog=EPILOG)
@key_argument
@config_argument
@bind_options
@click.option("--raw", is_flag=True, help="The job as an object of the config language.")
@click.option("--local", is_flag=True, help="Has no effect; it is there for old scripts.")
@verb_options
def command(
    context: Context, key: ClusterJobKey, config: str, binds: Sequence[str], read_json: bool, raw: bool, local: bool
) -> int:
    """Show a job of a config as it would be created."""
    loaded = load_jobs(config, binds=binds, json=read_json or config.endswith(".json"))
    known = context.clusters.known.get(key.cluster)
    registry = known.docker_registry if known is not None else DEFAULT_REGISTRY
    job = choose_job(context, key, loaded, bind=lambda job: bind_images(job, registry))
    document = {"job": job.data, "configuration": job.configuration}
    context.answer(document, [str(job.job)] if raw else inspect_lines(job.data, key.cluster))
    return 0
