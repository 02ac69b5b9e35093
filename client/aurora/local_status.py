"""`aurora local status`: the parts of a local cluster, its agents, and the tasks that run in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from client.aurora.exits import Exit
from client.aurora.local_look import Agent, Look, Part, look
from client.aurora.local_place import load_plan, pick_cluster
from client.aurora.local_plan import LocalPlan, check_cluster, plan_json
from client.exits import echo_lines
from client.render import pad
from client.thermos.options import output_option
from thermos.clock import now
from thermos.core.words import duration

EPILOG = """
\b
Examples:
  aurora local status
  aurora local status -o json
  thermos status -v 3 aurora-local-rz1     the same parts, as thermos sees them

\b
Exit codes: 0 all of it is up, 4 some of it is not, or none.
"""


@click.command("status", epilog=EPILOG)
@click.option("--cluster", metavar="NAME", help="Which one.  [default: the only one, or rz1]")
@output_option
def command(cluster: str | None, output: str) -> int:
    """Show the cluster of this machine."""
    name = check_cluster(pick_cluster(cluster))
    plan = load_plan(name)
    if plan is None:
        if output == "json":
            echo_lines([json.dumps({"cluster": name, "up": False}, indent=1)])
        else:
            echo_lines([f"cluster {name} is not up; `aurora local up{_option(name)}` starts it"])
        return Exit.FAILED
    seen = look(plan, tasks=True)
    if output == "json":
        echo_lines([json.dumps(look_json(plan, seen), indent=1, ensure_ascii=False)])
    else:
        echo_lines(look_lines(plan, seen, now().wall))
    return Exit.OK if seen.is_up else Exit.FAILED


def _option(cluster: str) -> str:
    return "" if cluster == "rz1" else f" --cluster {cluster}"


def look_lines(plan: LocalPlan, seen: Look, wall: float) -> Iterator[str]:
    yield f"cluster {plan.cluster} is {'up' if seen.is_up else 'not wholly up'}"
    yield from _table(
        ("PART", "STATE", "PID", "UP", "RESTARTS", "URL"), [_part_cells(part, wall) for part in seen.parts]
    )
    yield ""
    yield from _table(
        ("AGENT", "HOST", "STATE", "EXECUTORS", "ATTRIBUTES"), [_agent_cells(agent) for agent in seen.agents]
    )
    yield ""
    yield f"tasks: {_task_words(seen)}"
    yield f"logs: {plan.work_dir}/.logs"
    if not seen.minded:
        yield f"nobody minds its parts; `aurora local up{_option(plan.cluster)}` ends what is left and starts anew"


def _part_cells(part: Part, wall: float) -> tuple[str, ...]:
    state = part.state if part.answers or part.state != "running" else f"running, {part.words}"
    up = duration(wall - part.since) if part.since else "-"
    return part.name, state, str(part.pid or "-"), up, str(part.restarts), part.url


def _agent_cells(agent: Agent) -> tuple[str, ...]:
    return str(agent.number), agent.host, agent.state, str(agent.executors), agent.attributes


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _task_words(seen: Look) -> str:
    if seen.tasks is None:
        return "not known, the scheduler does not answer"
    return ", ".join(f"{count} {status}" for status, count in sorted(seen.tasks.items())) or "none"


def look_json(plan: LocalPlan, seen: Look) -> dict[str, Any]:
    return {
        **plan_json(plan),
        "up": seen.is_up,
        "minded": seen.minded,
        "parts": [
            {
                "name": part.name,
                "state": part.state,
                "pid": part.pid,
                "restarts": part.restarts,
                "url": part.url,
                "startedAt": round(part.since * 1000) or None,
                "answers": part.answers,
                "lacks": part.words,
            }
            for part in seen.parts
        ],
        "agents": [
            {
                "number": agent.number,
                "host": agent.host,
                "state": agent.state,
                "attributes": agent.attributes,
                "executors": agent.executors,
                "offered": agent.offered,
            }
            for agent in seen.agents
        ],
        "tasks": seen.tasks,
    }
