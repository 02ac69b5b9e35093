"""`aurora job open CLUSTER[/ROLE[/ENV[/NAME]]]`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.options import partial_key_argument, verb_options
from client.aurora.pages import open_page, page_url
from client.job_keys import PartialKey

EPILOG = """
\b
Examples:
  aurora job open rz1
  aurora job open rz1/www/test/webserver

The address is printed, whether a browser could be started or not.
"""


@click.command("open", epilog=EPILOG)
@partial_key_argument
@verb_options
def command(context: Context, key: PartialKey) -> int:
    """Open a page of the scheduler in the browser."""
    parts = [part for part in (key.role, key.environment, key.name) if part]
    url = page_url(context.api(key.cluster), *parts)
    context.answer({"url": url}, [url])
    open_page(context, url)
    return 0
