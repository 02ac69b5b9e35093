"""`thermos completion SHELL`: what makes a shell complete verbs, options, task ids and processes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from client.exits import echo_lines
from thermos.errors import Bug

EPILOG = """
\b
Examples:
  thermos completion bash > ~/.local/share/bash-completion/completions/thermos
  thermos completion zsh > ~/.zfunc/_thermos          (with ~/.zfunc in fpath)
  thermos completion fish > ~/.config/fish/completions/thermos.fish
  source <(thermos completion bash)                   for this shell only
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> int:
    """Print the completion script of a shell."""
    found = get_completion_class(shell)
    if found is None:
        raise Bug(f"no completion for {shell}")
    complete = found(click.Command("thermos"), {}, "thermos", "_THERMOS_COMPLETE")
    template = complete.source_template % complete.source_vars()
    echo_lines([template.strip()])
    return 0
