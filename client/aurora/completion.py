"""`aurora completion SHELL`: what makes a shell complete nouns, verbs, options and keys."""

from __future__ import annotations

import click

from client.completion import script_for
from client.exits import echo_lines

EPILOG = """
\b
Examples:
  aurora completion bash > ~/.local/share/bash-completion/completions/aurora
  aurora completion zsh > ~/.zfunc/_aurora          (with ~/.zfunc in fpath)
  aurora completion fish > ~/.config/fish/completions/aurora.fish
  source <(aurora completion bash)                  for this shell only
"""


@click.command("completion", epilog=EPILOG)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def command(shell: str) -> int:
    """Print the completion script of a shell."""
    echo_lines([script_for("aurora", shell)])
    return 0
