"""`aurora local chaos`: one fault at a time, or a monkey that makes many. It says what it did and what to look at."""

from __future__ import annotations

import json
import random
import re
import secrets
from collections.abc import Callable
from typing import Any

import click

from client.aurora.exits import CommandFailed
from client.aurora.local_faults import OUTCOMES, agent_number, perform, situation, task_of
from client.aurora.local_monkey import Fault, choose, repairs
from client.aurora.local_place import load_plan, pick_cluster
from client.aurora.local_plan import LocalPlan, check_cluster
from client.aurora.local_task import pause
from client.exits import echo_lines
from client.render import clock_time
from client.thermos.options import output_option
from thermos.clock import now
from thermos.core.words import plural
from thermos.errors import ThermosError

EPILOG = """
\b
Examples:
  aurora local chaos kill-scheduler
  aurora local chaos partition-agent 127.0.0.12     its tasks become PARTITIONED
  aurora local chaos heal
  aurora local chaos kill-task www/test/webserver/0
  aurora local chaos monkey --for 60s --every 2s --seed 7

\b
AGENT is a number (0, 1, …) or a host (127.0.0.11); TASK is ROLE/ENV/NAME/INSTANCE
or the id of a task.

\b
Exit codes: 0 done, 4 it could not be done (it is down already, say), 6 a bad value.
"""


#: Seconds between two faults at least.
_LEAST_S = 0.05


@click.group("chaos", epilog=EPILOG)
def command() -> None:
    """Break something of the cluster of this machine.

    It is there to be broken: what should survive this does, and you can watch it.
    """


def cluster_option(function: Callable[..., Any]) -> Callable[..., Any]:
    text = "Which one.  [default: the only one, or rz1]"
    return click.option("--cluster", metavar="NAME", help=text)(output_option(function))


def plan_of(cluster: str | None) -> LocalPlan:
    """Raises CommandFailed: there is nothing to break."""
    name = check_cluster(pick_cluster(cluster))
    plan = load_plan(name)
    if plan is None:
        raise CommandFailed(f"cluster {name} is not up; `aurora local up` starts it")
    return plan


def _do(plan: LocalPlan, fault: Fault, output: str) -> int:
    text = perform(plan, fault)
    if output == "json":
        words = {"verb": fault.verb, "agent": fault.agent, "task": fault.task or None, "text": text}
        echo_lines([json.dumps(words, ensure_ascii=False)])
    else:
        echo_lines([text, f"  {OUTCOMES[fault.verb]}"])
    return 0


def _alone(verb: str, words: str) -> None:
    """A fault of the only one of its kind."""

    @command.command(verb, help=words)
    @cluster_option
    def run(cluster: str | None, output: str) -> int:
        return _do(plan_of(cluster), Fault(verb), output)


def _of_agent(verb: str, words: str) -> None:
    @command.command(verb, help=words)
    @click.argument("agent")
    @cluster_option
    def run(agent: str, cluster: str | None, output: str) -> int:
        plan = plan_of(cluster)
        return _do(plan, Fault(verb, agent_number(plan, agent)), output)


def _of_task(verb: str, words: str) -> None:
    @command.command(verb, help=words)
    @click.argument("task")
    @cluster_option
    def run(task: str, cluster: str | None, output: str) -> int:
        plan = plan_of(cluster)
        return _do(plan, Fault(verb, task=task_of(plan, task)), output)


_alone("kill-scheduler", "Kill the scheduler, as kill -9.")
_alone("kill-observer", "Kill the observer, as kill -9.")
_alone("kill-mesos", "Kill master and agents at once, as a crash of the machine.")
_of_agent("kill-agent", "Kill an agent; its executors live on.")
_of_agent("start-agent", "Start an agent that was killed.")
_of_agent("partition-agent", "Cut an agent off from the master.")
_alone("kill-master", "Kill the master.")
_alone("start-master", "Start the master that was killed.")
_alone("restart-master", "Kill the master and start it again.")
_of_task("kill-executor", "Kill the executor of a task.")
_of_task("kill-task", "Kill the processes of a task.")


@command.command("heal")
@click.argument("agent", required=False)
@cluster_option
def heal(agent: str | None, cluster: str | None, output: str) -> int:
    """Let agents that were cut off reach the master again: one, or all."""
    plan = plan_of(cluster)
    return _do(plan, Fault("heal", agent_number(plan, agent) if agent is not None else None), output)


# --- the monkey


def seconds_of(ctx: click.Context, param: click.Parameter, text: str) -> float:
    """`2s`, `500ms`, `1m`, or seconds."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?", text)
    if found is None:
        raise click.BadParameter(f"{text!r} is no time; write 2s, 500ms or 1m")
    return float(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[found[2] or "s"]


@command.command("monkey")
@click.option("--for", "span", default="60s", show_default=True, callback=seconds_of, metavar="TIME", help="So long.")
@click.option(
    "--every", default="2s", show_default=True, callback=seconds_of, metavar="TIME", help="Between two faults."
)
@click.option("--seed", type=click.IntRange(0), help="The same seed makes the same choices.  [default: any]")
@click.option("--no-heal", is_flag=True, help="Leave what is broken at the end as it is.")
@cluster_option
def monkey(span: float, every: float, seed: int | None, no_heal: bool, cluster: str | None, output: str) -> int:
    """Break things by chance for a while, one after the other, each told with its time.

    At least half of the agents stay up. At the end, and after Ctrl-C, agents and master are given back.
    """
    plan = plan_of(cluster)
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    _tell(output, f"seed {seed}: a fault every {every:g} s for {span:g} s", seed=seed)
    chance = random.Random(seed).random
    end_at = now().mono + span
    done = 0
    try:
        while now().mono < end_at:
            seen = situation(plan_of(plan.cluster))
            if seen is not None:
                done += _try(plan, choose(seen, chance), output)
            else:
                _tell(
                    output, f"{clock_time(now().wall)} nothing: Mesos is not up", at=now().wall, fault=None, done=False
                )
            pause(max(_LEAST_S, min(every, end_at - now().mono)))
    finally:
        if not no_heal:
            _give_back(plan, output)
    _tell(output, f"{plural(done, 'fault')}; what has come of it: aurora local status, aurora job status", faults=done)
    return 0


def _try(plan: LocalPlan, fault: Fault, output: str) -> bool:
    """Whether it was done: what it is about may have ended meanwhile."""
    try:
        text, done = perform(plan, fault), True
    except ThermosError as error:
        text, done = str(error), False
    at = now().wall
    _tell(output, f"{clock_time(at)} {fault.words}: {text}", at=at, fault=fault.words, text=text, done=done)
    return done


def _give_back(plan: LocalPlan, output: str) -> None:
    seen = situation(plan)
    for fault in repairs(seen) if seen is not None else ():
        _try(plan, fault, output)


def _tell(output: str, line: str, **fields: object) -> None:
    echo_lines([json.dumps(fields, ensure_ascii=False) if output == "json" else line])
