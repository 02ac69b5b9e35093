"""`aurora version`."""

from __future__ import annotations

import click

from client.aurora.context import Context
from client.aurora.options import verb_options
from thermos.version import VERSION

EPILOG = """
\b
Examples:
  aurora version
  aurora version -o json
"""


@click.command("version", epilog=EPILOG)
@verb_options
def command(context: Context) -> int:
    """Print the version."""
    context.answer({"version": VERSION}, [f"aurora {VERSION}"])
    return 0
