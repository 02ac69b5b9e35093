"""`aurora config list FILE`: the jobs that a config defines."""

from __future__ import annotations

from collections.abc import Sequence

import click

from client.aurora.context import Context
from client.aurora.options import bind_options, config_argument, verb_options
from config.check import raise_refusals
from config.loader import load_jobs
from config.selection import job_path

EPILOG = """
\b
Examples:
  aurora config list webserver.aurora
  aurora config list -o json webserver.aurora
"""


@click.command("list", epilog=EPILOG)
@config_argument
@bind_options
@verb_options
def command(context: Context, config: str, binds: Sequence[str], read_json: bool) -> int:
    """List the jobs of a config."""
    loaded = load_jobs(config, binds=binds, json=read_json or config.endswith(".json"))
    raise_refusals(loaded)
    jobs = [job_path(job) for job in loaded.jobs]
    context.answer({"jobs": jobs}, [f"jobs=[{', '.join(jobs)}]"])
    return 0
