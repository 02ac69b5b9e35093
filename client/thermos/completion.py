"""`thermos completion SHELL`: what makes a shell complete verbs, options, task ids and processes."""

from __future__ import annotations

import click

from client.completion import script_for
from client.exits import echo_lines

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
    echo_lines([script_for("thermos", shell)])
    return 0
