"""`thermos`: the verbs, each in the file of its name, imported when it is called. The table below is all that
`thermos --help` needs, so that it stays quick."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from client.exits import guard
from client.words import call
from thermos.version import VERSION

#: verb -> what it does, in the words of its own help.
VERBS: dict[str, str] = {
    "run": "Run a task in the foreground.",
    "simplerun": "Run a command line as a task of its own.",
    "check": "Say everything that is wrong with a config.",
    "inspect": "Show a task as it would run: bound, with its ports and graph.",
    "status": "Show the tasks of this host.",
    "tail": "Show the end of a process's output.",
    "read": "Show what a checkpoint tells.",
    "kill": "End active tasks.",
    "restart": "Restart processes of an active task.",
    "attach": "Mind an active task in the foreground.",
    "detach": "Let a task go on as a daemon.",
    "top": "Show what tasks and their processes use.",
    "gc": "Remove finished tasks.",
    "completion": "Print the completion script of a shell.",
    "observer": "Show every task of this host in the browser, live.",
}


class Verbs(click.Group):
    """Commands by name, imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"client.thermos.{cmd_name}").command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs from the table, so that no file is imported for a word that is not finished."""
        verbs = [CompletionItem(verb, help=text) for verb, text in VERBS.items() if verb.startswith(incomplete)]
        return verbs or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


EPILOG = """
\b
Examples:
  thermos run hello.thermos                     run a task; Ctrl-C stops it politely
  thermos run -P http:8080 web.aurora           run one instance of a job
  thermos status --verbosity 3                  what runs here, process by process
  thermos kill 'web-.*'                         stop tasks by id

\b
Exit codes: 0 success, 1 failed, 2 usage, 3 bad config, 4 killed, 5 lost,
6 the task can't be owned (finished, or somebody has it), 130 interrupted twice.
"""


@click.group(
    cls=Verbs, name="thermos", epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help", "--long-help"]}
)
@click.version_option(VERSION, prog_name="thermos", message="%(prog)s %(version)s")
@click.option("--root", metavar="PATH", help="Checkpoint root, for every verb.")
@click.option("--mesos-root", "--mesos_root", metavar="PATH", help="Work directory of a Mesos agent to look into.")
def cli(root: str | None, mesos_root: str | None) -> None:
    """Run a task, a graph of processes, on this host and look after it."""


def main() -> NoReturn:
    """The console script."""
    sys.exit(guard("thermos", lambda: call(cli, "thermos")))
