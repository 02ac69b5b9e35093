"""What the shell offers for a word that is not finished: ids of tasks, names of their processes. It never complains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.shell_completion import CompletionItem

from client.context import search_roots
from client.thermos.options import inherited
from thermos.errors import ThermosError
from thermos.host.kernel import Kernel
from thermos.monitor.detect import Found, find_tasks
from thermos.monitor.follow import read_task

Suggest = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _tasks(ctx: click.Context) -> list[Found]:
    try:
        root, mesos_root = (inherited(ctx, name, ctx.params.get(name)) for name in ("root", "mesos_root"))
        return find_tasks(search_roots(root, mesos_root))
    except ThermosError:
        return []


def task_ids(*, active: bool) -> Suggest:
    """A `shell_complete` of ids; `active`: only of tasks that are."""

    def suggest(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [
            CompletionItem(task.task_id, help="active" if task.active else "finished")
            for task in _tasks(ctx)
            if task.task_id.startswith(incomplete) and (task.active or not active)
        ]

    return suggest


def process_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Processes that ran in the task that was named before."""
    wanted: Any = ctx.params.get("task_id")
    found = next((task for task in _tasks(ctx) if task.task_id == wanted), None)
    if found is None:
        return []
    try:
        view = read_task(found.paths, Kernel())
    except ThermosError:
        return []
    return [CompletionItem(name) for name in view.task.processes if name.startswith(incomplete)]
