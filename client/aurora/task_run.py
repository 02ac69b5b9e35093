"""`aurora task run KEY COMMAND`: a shell command in the sandbox of every running instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from client.aurora.context import Context
from client.aurora.exits import Exit
from client.aurora.options import chosen_argument, verb_options
from client.aurora.task_access import LIVE, access_options, find_places, is_here, parse_words, shell_words
from client.aurora.task_commands import run_commands
from client.aurora.task_place import TaskPlace
from client.job_keys import Chosen, instance_ranges

EPILOG = """
\b
Examples:
  aurora task run rz1/www/prod/web 'ls -l'              one host after the other
  aurora task run -t 20 rz1/www/prod/web 'df -h .'      20 at once
  aurora task run rz1/www/prod/web/0-2 'curl -s localhost:{{thermos.ports[http]}}/health'

\b
The command is run by the user's shell on the host; stdout and stderr are shown,
each line after the name of its host. It may contain {{mesos.instance}},
{{mesos.hostname}}, {{thermos.task_id}} and {{thermos.ports[NAME]}}.

\b
Exit codes: 0 if it was 0 everywhere, else 4; 6 if nothing runs.
"""


#: What ssh ends with if it could not get there; what it had to say of that is not shown (-q).
_SSH_FAILED = 255


@click.command("run", epilog=EPILOG)
@chosen_argument
@click.argument("command_line", metavar="COMMAND")
@click.option("-t", "--threads", type=click.IntRange(1), default=1, show_default=True, help="So many hosts at once.")
@access_options
@verb_options
def command(context: Context, /, chosen: Chosen, command_line: str, threads: int, **access: Any) -> int:
    """Run a command in the sandboxes of a job.

    Of all instances that are running, or of those that are named.
    """
    places = find_places(context, chosen, LIVE)
    cluster = context.cluster(chosen.job.cluster)
    ssh = ["-n", "-q", *parse_words("--ssh-options", access["ssh_options"])]
    commands = [
        shell_words(cluster, place, command_line, ssh=ssh, user=access["ssh_user"], executor=access["executor_sandbox"])
        for place in places
    ]
    said: list[list[str]] = [[] for _ in places]

    def say(number: int, line: str) -> None:
        context.echo(f"{places[number].host}:  {line}")
        if context.json:
            said[number].append(line)

    codes = run_commands(commands, threads, say, shells=is_here(cluster))
    missing = sorted(set(chosen.instances or ()) - {place.instance for place in places})
    _tell(context, chosen, places, codes, missing)
    if context.json:
        context.answer({"results": _results(places, codes, said), "notRunning": missing})
    return Exit.FAILED if missing or any(codes) else Exit.OK


def _tell(
    context: Context, chosen: Chosen, places: Sequence[TaskPlace], codes: Sequence[int], missing: Sequence[int]
) -> None:
    """Who did not succeed."""
    for place, code in zip(places, codes, strict=True):
        if code:
            where = f"{chosen.job}/{place.instance}"
            hint = f"; did ssh get there? try `aurora task ssh {where}`" if code == _SSH_FAILED else ""
            context.say(f"instance {place.instance} on {place.host}: exit code {code}{hint}")
    if missing:
        context.say(f"not running, so nothing was run there: {chosen.job}/{instance_ranges(missing)}")


def _results(places: Sequence[TaskPlace], codes: Sequence[int], said: Sequence[list[str]]) -> list[dict[str, Any]]:
    return [
        {"instance": place.instance, "taskId": place.task_id, "host": place.host, "exitCode": code, "output": lines}
        for place, code, lines in zip(places, codes, said, strict=True)
    ]
