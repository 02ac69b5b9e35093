"""`thermos inspect CONFIG`: the task as it would run, with its ports and its graph in levels."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import click
import msgspec

from client.context import hostname
from client.exits import echo_lines
from client.thermos.options import config_options, output_option
from client.thermos.ports import parse_ports
from client.thermos.target import Target, compile_target, load_target
from client.thermos.view import graph_levels
from thermos.host.users import current_user
from thermos.model import ProcessSpec, TaskSpec
from thermos.words import printable

EPILOG = """
\b
Examples:
  thermos inspect hello.thermos
  thermos inspect -P http:8080 -o json web.aurora
"""

#: Marks of a process that differ from the usual, in words.
_FLAGS = ("daemon", "ephemeral", "final")


@click.command("inspect", epilog=EPILOG)
@config_options
@click.option("--task-id", "--task_id", metavar="ID", help="The id that {{thermos.task_id}} stands for.")
@output_option
def command(
    config: str,
    task: str | None,
    job: str | None,
    instance: int | None,
    json_input: bool,
    ports: Sequence[str],
    binds: Sequence[str],
    task_id: str | None,
    output: str,
) -> int:
    """Show a task as it would run: bound, with its ports and graph.

    Ports that are not given stay as they are written, {{thermos.ports[NAME]}}.
    """
    given = parse_ports(ports)
    target = load_target(config, json=json_input, binds=binds, task=task, job=job)
    spec = compile_target(
        leave_ports(target, [name for name in target.ports if name not in given]),
        ports=given,
        task_id=task_id or f"{target.name}-ID",
        user=current_user().name,
        instance=instance,
        hostname=hostname(),
    )
    bound: dict[str, int | None] = {**dict.fromkeys(target.ports), **given}
    if output == "json":
        echo_lines([json.dumps(task_json(spec, bound), indent=1, ensure_ascii=False)])
    else:
        echo_lines(task_lines(spec, bound, os.get_terminal_size().columns if os.isatty(1) else None))
    return 0


def leave_ports(target: Target, names: Sequence[str]) -> Target:
    """The target with these ports bound to their own references, as text."""
    texts = {f"thermos.ports[{name}]": f"{{{{&thermos.ports[{name}]}}}}" for name in names}
    return replace(target, config=target.config.bind(texts)) if texts else target


def levels_of(spec: TaskSpec) -> list[list[str]]:
    """Names of the processes that may run at the same time, level by level; final ones after all others."""
    levels = graph_levels(spec)
    found: dict[tuple[bool, int], list[str]] = {}
    for process in spec.processes:
        found.setdefault((process.final, levels[process.name]), []).append(process.name)
    return [found[key] for key in sorted(found)]


def task_json(spec: TaskSpec, ports: dict[str, int | None]) -> dict[str, Any]:
    return {"task": msgspec.to_builtins(spec), "ports": ports, "levels": levels_of(spec)}


def task_lines(spec: TaskSpec, ports: dict[str, int | None], columns: int | None = None) -> Iterator[str]:
    yield f"task {spec.name}"
    if spec.resources is not None:
        mb = 1024 * 1024
        gpu = f", gpu {spec.resources.gpu}" if spec.resources.gpu else ""
        ram, disk = spec.resources.ram // mb, spec.resources.disk // mb
        yield f"  resources: cpu {spec.resources.cpu:g}, ram {ram} MB, disk {disk} MB{gpu}"
    yield f"  max_failures: {spec.max_failures or 'any number'}"
    if spec.max_concurrency:
        yield f"  max_concurrency: {spec.max_concurrency}"
    yield f"  finalization_wait: {spec.finalization_wait:g} s"
    for name, port in ports.items():
        yield f"  port {name}: {port or 'picked when it runs' if port is not None else 'not bound'}"
    for number, level in enumerate(levels_of(spec)):
        yield f"  level {number}: {', '.join(level)}"
    after = _predecessors(spec)
    for process in spec.processes:
        yield ""
        yield from _process_lines(process, after.get(process.name, []))


def _predecessors(spec: TaskSpec) -> dict[str, list[str]]:
    before: dict[str, list[str]] = {}
    for names in spec.order:
        for first, second in pairwise(names):
            if first not in before.setdefault(second, []):
                before[second].append(first)
    return before


def _process_lines(process: ProcessSpec, after: list[str]) -> Iterator[str]:
    flags = ", ".join(flag for flag in _FLAGS if getattr(process, flag))
    yield f"  process {process.name}{f' ({flags})' if flags else ''}"
    if after:
        yield f"    after: {', '.join(after)}"
    if process.max_failures != 1:
        yield f"    max_failures: {process.max_failures or 'any number'}"
    yield f"    min_duration: {process.min_duration:g} s"
    if process.logger is not None:
        yield f"    logger: {process.logger.destination}, {process.logger.mode}"
    lines = process.cmdline.splitlines() or [""]
    yield f"    $ {printable(lines[0])}"
    yield from (f"      {printable(line)}" for line in lines[1:])
