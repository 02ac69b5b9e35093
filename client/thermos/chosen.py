"""The one task that a command is about, and the one process of it, by what people type: an id or a name in full, or a
regular expression that fits only one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import click

from client.context import search_roots
from client.thermos.options import inherited
from client.thermos.tasks import matcher
from thermos.core.words import some_of
from thermos.errors import HostError, ThermosError, UserError
from thermos.host.kernel import Kernel
from thermos.monitor.detect import Found, find_tasks
from thermos.monitor.follow import TaskView, read_task


class NotFound(ThermosError):
    """Nothing, or more than one thing, is meant."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task that can be read."""

    found: Found
    view: TaskView


def found_tasks(ctx: click.Context, root: str | None, mesos_root: str | None) -> list[Found]:
    """All tasks where the options say."""
    return find_tasks(search_roots(inherited(ctx, "root", root), inherited(ctx, "mesos_root", mesos_root)))


def choose_task(ctx: click.Context, wanted: str, root: str | None, mesos_root: str | None) -> Chosen:
    """The one task that is meant, active ones first. Raises NotFound, HostError, UserError."""
    task = pick_task(found_tasks(ctx, root, mesos_root), wanted)
    view = read_task(task.paths, Kernel())
    if not view.readable:
        raise HostError(f"cannot read task {task.task_id}: checkpoint stream CORRUPT or outdated format")
    return Chosen(task, view)


def pick_task(tasks: Sequence[Found], wanted: str) -> Found:
    """Raises NotFound, UserError."""
    exact = [task for task in tasks if task.task_id == wanted]
    matches = matcher([wanted])
    for some in (
        exact,
        [t for t in tasks if t.active and matches(t.task_id)],
        [t for t in tasks if matches(t.task_id)],
    ):
        if len(some) == 1:
            return some[0]
        if some:
            raise NotFound(f"More than one task matches {wanted!r}: {_where(some)}")
    raise NotFound(f"Could not find task {wanted!r}; `thermos status` shows all")


def _where(tasks: Sequence[Found]) -> str:
    ids = [task.task_id for task in tasks]
    if len(set(ids)) == len(ids):
        return some_of(ids, 5)
    return some_of([f"{task.task_id} below {task.root}" for task in tasks], 5) + "; say which with --root"


def pick_name(names: Iterable[str], wanted: str, what: str) -> str:
    """The one name that is meant. Raises NotFound, UserError."""
    known = list(names)
    if wanted in known:
        return wanted
    try:
        pattern = re.compile(wanted)
    except re.error as error:
        raise UserError(f"bad regular expression {wanted!r}: {error}") from error
    fitting = [name for name in known if pattern.match(name)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotFound(f"More than one {what} matches query {wanted!r}: {some_of(fitting, 5)}")
    raise NotFound(f"No {what} matches {wanted!r}; there are: {some_of(known, 10) or 'none'}")
