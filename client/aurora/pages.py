"""Pages of the scheduler: their addresses, and opening them."""

from __future__ import annotations

import webbrowser
from urllib.parse import quote

from client.api_client import ApiClient
from client.aurora.context import Context
from client.job_keys import ClusterJobKey


def page_url(api: ApiClient, *parts: str) -> str:
    """`…/scheduler[/ROLE[/ENV[/NAME]]]`, at the cluster's proxy_url if it has one."""
    base = (api.cluster.proxy_url or str(api.origin())).rstrip("/")
    return "/".join([base, "scheduler", *(quote(part, safe="") for part in parts)])


def job_url(api: ApiClient, job: ClusterJobKey) -> str:
    return page_url(api, job.role, job.environment, job.name)


def open_page(context: Context, url: str) -> bool:
    """Whether a browser took it."""
    try:
        taken = webbrowser.open_new_tab(url)
    except webbrowser.Error:
        taken = False
    if not taken:
        context.say("no browser could be started")
    return taken
