"""What `job kill` and `job killall` have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import click

from client.api_client import ApiClient, job_path
from client.aurora.batches import Batching, Working, finish, kill
from client.aurora.context import Context
from client.aurora.core.tasks import parse_task
from client.aurora.hooked import call_hooked, optional_job
from client.aurora.hooks import ApiMethod
from client.aurora.options import (
    batch_options,
    browser_option,
    hooks_config_option,
    message_option,
    together,
)
from client.aurora.pages import job_url, open_page
from client.job_keys import ClusterJobKey

F = TypeVar("F", bound=Callable[..., Any])

SLA_WARNING = "Killing instances without updating SlaPolicy."


def kill_options(function: F) -> F:
    return together(
        batch_options,
        click.option("--no-batching", is_flag=True, help="Kill all of them at once."),
        message_option,
        browser_option,
        hooks_config_option,
    )(function)


def kill_verb(
    context: Context, key: ClusterJobKey, instances: Collection[int] | None, *, strict: bool = False, **given: Any
) -> int:
    """Kill these instances, all for None; `given` are the values of `kill_options`."""
    job = optional_job(context, key, given["config"], given["binds"], given["read_json"])
    api = context.api(key.cluster)

    def ask(batch: Sequence[int] | None) -> Any:
        body = {"instances": list(batch) if batch is not None else None, "message": given["message"]}
        return call_hooked(
            key, job, ApiMethod.KILL_JOB, lambda: api.post(job_path(key, "kill"), body), instances=body["instances"]
        )

    size = None if given["no_batching"] else given["batch_size"]
    with Working(context, api, key, instances) as working:
        chosen = working.chosen(strict)
        _warn_of_sla(context, api, key)
        rolling = kill(working, chosen, Batching(size, given["max_total_failures"]), ask)
        if given["open_browser"]:
            open_page(context, job_url(api, key))
        return finish(working, rolling, context.verb, "killed")


def _warn_of_sla(context: Context, api: ApiClient, key: ClusterJobKey) -> None:
    """A kill asks no SLA policy that counts instances."""
    which = {"role": key.role, "environment": key.environment, "name": key.name}
    page = next(iter(api.each_page("/tasks", "tasks", {**which, "active": "true", "configs": "false"})))
    policies = (parse_task(task).config.sla_policy for task in page["tasks"][:1])
    if any(policy is not None and (policy.count_sla_policy or policy.percentage_sla_policy) for policy in policies):
        context.say(SLA_WARNING)
