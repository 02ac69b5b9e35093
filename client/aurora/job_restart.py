"""`aurora job restart KEY[/INSTANCES]`: driven from here, so that ending this ends the restart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from client.api_client import job_path
from client.aurora.batches import Batching, Working, finish, restart
from client.aurora.context import Context
from client.aurora.hooked import call_hooked, optional_job
from client.aurora.hooks import ApiMethod
from client.aurora.options import (
    batch_options,
    browser_option,
    chosen_argument,
    hooks_config_option,
    strict_option,
    verb_options,
)
from client.aurora.pages import job_url, open_page
from client.job_keys import Chosen

EPILOG = """
\b
Examples:
  aurora job restart rz1/www/test/webserver
  aurora job restart --batch-size 2 --watch-secs 10 rz1/www/test/webserver/0-3

The next batch begins when all instances of the one before have been running
for --watch-secs. Ctrl-C stops it between two instances. Exit code 4: an
instance failed.
"""


@click.command("restart", epilog=EPILOG)
@chosen_argument
@batch_options
@click.option(
    "--watch-secs",
    type=click.FloatRange(0),
    default=30,
    show_default=True,
    help="An instance must run so long to be well.",
)
@click.option(
    "--max-per-instance-failures",
    type=int,
    default=0,
    show_default=True,
    help="An instance may fail so often before it counts as failed; -1 for any number.",
)
@click.option(
    "--healthcheck-interval-seconds",
    type=click.FloatRange(0.1),
    default=3,
    show_default=True,
    help="How often to look, where the scheduler has no event stream.",
)
@click.option("--force", is_flag=True, help="Has no effect; it is there for old scripts.")
@strict_option
@browser_option
@hooks_config_option
@verb_options
def command(context: Context, chosen: Chosen, **given: Any) -> int:
    """Restart a job, some instances at a time."""
    key = chosen.job
    job = optional_job(context, key, given["config"], given["binds"], given["read_json"])
    api = context.api(key.cluster)
    batching = Batching(given["batch_size"], given["max_total_failures"], given["max_per_instance_failures"])

    def ask(batch: Sequence[int] | None) -> Any:
        shards = list(batch or ())
        return call_hooked(
            key,
            job,
            ApiMethod.RESTART,
            lambda: api.post(job_path(key, "restart"), {"instances": shards}),
            shards=shards,
            updater_config=None,
            health_check_interval_seconds=given["healthcheck_interval_seconds"],
        )

    with Working(context, api, key, chosen.instances, given["healthcheck_interval_seconds"]) as working:
        rolling = restart(working, working.chosen(given["strict"]), batching, given["watch_secs"], ask)
        if given["open_browser"]:
            open_page(context, job_url(api, key))
        return finish(working, rolling, "restart", "restarted")
