"""`aurora`: nouns and their verbs, each verb in the file `NOUN_VERB.py`, imported when it is called. The tables below
are all that help needs, so that it stays quick.

A verb's module has its click command as `command`; its decorator `client.aurora.options.verb_options` hands it a
`Context`. What it returns is the exit code, None is 0; errors become codes in `client.aurora.exits`.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from client.aurora.exits import Exit, code_of
from client.exits import guard
from client.words import call
from thermos.version import VERSION

#: noun -> verb -> what it does, in the words of its own help.
NOUNS: dict[str, dict[str, str]] = {
    "job": {
        "create": "Create a job.",
        "add": "Add instances to a job.",
        "kill": "Kill instances of a job.",
        "killall": "Kill all instances of a job.",
        "restart": "Restart a job, some instances at a time.",
        "run": "Run a job to its end.",
        "status": "Show the tasks of jobs, and what happened to them.",
        "list": "List jobs.",
        "why": "Say why an instance waits, host by host.",
        "inspect": "Show a job of a config as it would be created.",
        "diff": "Show what a config would change of a job.",
        "open": "Open a page of the scheduler in the browser.",
    },
    "update": {
        "start": "Start an update of a job, or the job.",
        "plan": "Show what an update would do.",
        "wait": "Follow an update to its end.",
        "info": "Show an update.",
        "list": "List updates.",
        "pause": "Pause an update.",
        "resume": "Let a paused update go on.",
        "abort": "End an update; the job stays as it is.",
        "rollback": "Take an update back.",
    },
    "task": {
        "run": "Run a command in the sandboxes of a job.",
        "ssh": "Open a shell in the sandbox of an instance.",
        "scp": "Copy files from and to sandboxes.",
    },
    "config": {"list": "List the jobs of a config."},
    "quota": {"get": "Show what a role may use, and what it uses."},
    "local": {
        "up": "Start a whole cluster on this machine.",
        "down": "Stop the cluster of this machine.",
        "status": "Show the cluster of this machine.",
        "chaos": "Break something of the cluster of this machine.",
    },
}

NOUN_HELP: dict[str, str] = {
    "job": "Create, look at and change jobs.",
    "update": "Change jobs instance by instance, and look how far it is.",
    "task": "Go into the sandboxes of tasks.",
    "config": "Look into configs.",
    "quota": "Look at quotas.",
    "local": "A whole cluster on this machine.",
}

#: Verbs without a noun.
ALONE: dict[str, str] = {
    "version": "Print the version.",
    "completion": "Print the completion script of a shell.",
}


#: Set by a shell that wants to complete a word.
COMPLETING = "_AURORA_COMPLETE"


class _Table(click.Group):
    """A group whose commands are named by a table; it completes without importing any."""

    table: Mapping[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        words = [CompletionItem(word, help=text) for word, text in self.table.items() if word.startswith(incomplete)]
        return words or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))


class Noun(_Table):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        return _command(f"{self.name}_{cmd_name}".replace("-", "_"))


class Nouns(_Table):
    table = {**NOUN_HELP, **ALONE}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in NOUNS:
            noun = Noun(cmd_name, help=NOUN_HELP[cmd_name])
            noun.table = NOUNS[cmd_name]
            return noun
        return _command(cmd_name) if cmd_name in ALONE else None


def _command(module: str) -> click.Command:
    command: click.Command = importlib.import_module(f"client.aurora.{module}").command
    return command


EPILOG = """
\b
Examples:
  aurora update start --wait rz1/www/test/webserver webserver.aurora
  aurora job status rz1/www/test/webserver
  aurora job why rz1/www/test/webserver/0     why an instance waits
  aurora job list 'rz1/www/*'
  aurora job killall rz1/www/test/webserver

\b
Exit codes: 0 done, 3 bad config, 4 failed, 5 no such command, 6 bad value,
7 network, 9 timeout, 10 refused by the scheduler, 20 unexpected, 30 not
allowed, 130 interrupted.
"""


@click.group(
    cls=Nouns, name="aurora", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help", "--long-help"]}
)
@click.version_option(VERSION, prog_name="aurora", message="%(prog)s %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Say what the scheduler is asked, for every verb.")
def cli(verbose: bool) -> None:
    """Run jobs on a cluster and look after them."""


def run(words: Sequence[str]) -> object:
    """One command line; plugins of the site may change it before it is read."""
    words = list(words)
    if words and words[0] in NOUNS and COMPLETING not in os.environ:
        words = importlib.import_module("client.aurora.dispatch").before(words)
    return call(cli, "aurora", words, usage=Exit.BAD_COMMAND, obj=tuple(words))


def main() -> NoReturn:
    """The console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors="backslashreplace")  # what can't be written is shown, also as JSON, as an escape
    sys.exit(guard("aurora", lambda: run(sys.argv[1:]), code_of))
