"""`thermos check CONFIG`: every problem of a config at once, and none of its commands run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from client.exits import echo_lines
from client.thermos.options import output_option
from client.thermos.target import is_json
from config.check import check
from config.core.problem import Problem, is_error, render_problem
from config.loader import LoadedJobs, LoadedTasks, load_jobs, load_tasks
from thermos.core.words import plural
from thermos.errors import ConfigError, Exit

EPILOG = """
\b
Examples:
  thermos check hello.thermos
  thermos check -o json web.aurora

Exit codes: 0 no errors (there may be warnings), 3 errors.
"""


@click.command("check", epilog=EPILOG)
@click.argument("config", metavar="CONFIG")
@click.option("--json", "json_input", is_flag=True, help="CONFIG is JSON.")
@click.option("-E", "--environment", "--bind", "binds", metavar="NAME=VALUE", multiple=True, help="Bind a reference.")
@output_option
def command(config: str, json_input: bool, binds: Sequence[str], output: str) -> int:
    """Say everything that is wrong with a config."""
    try:
        loaded = _load(config, is_json(config, json_input), binds)
    except ConfigError as error:
        return _report(config, [Problem(line) for line in str(error).splitlines()], 0, output)
    problems = check(loaded)
    count = len(loaded.jobs) if isinstance(loaded, LoadedJobs) else len(loaded.tasks)
    if not count:
        problems.append(Problem(f"{config}: No tasks specified! Export one in the config: export(task)"))
    return _report(config, problems, count, output)


def _load(config: str, json_input: bool, binds: Sequence[str]) -> LoadedJobs | LoadedTasks:
    if config.endswith(".aurora"):
        return load_jobs(config, binds=binds, json=json_input)
    return load_tasks(config, binds=binds, json=json_input)


def _report(config: str, problems: list[Problem], count: int, output: str) -> int:
    errors = sum(map(is_error, problems))
    if output == "json":
        text = {"config": config, "ok": not errors, "tasks": count, "problems": [_problem_json(p) for p in problems]}
        echo_lines([json.dumps(text, ensure_ascii=False)])
    else:
        echo_lines(map(render_problem, problems))
        warnings = len(problems) - errors
        found = [plural(n, noun) for n, noun in ((errors, "error"), (warnings, "warning")) if n]
        how_many = f" ({plural(count, 'task')})" if count else ""
        echo_lines([f"{config}: {', '.join(found) or 'ok'}{how_many}"])
    return Exit.BAD_CONFIG if errors else Exit.OK


def _problem_json(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "severity": problem.severity,
        "text": problem.text,
        "object": problem.object,
        "field": problem.field,
        "file": place.file if place else None,
        "line": place.line if place else None,
    }
