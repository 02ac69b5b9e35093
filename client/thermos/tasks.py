"""Finding tasks by what people type, and reading what can be read of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from client.thermos.view import View
from thermos.clock import now
from thermos.core.lifecycle import Lifecycle
from thermos.errors import HostError, UserError
from thermos.host.kernel import Kernel
from thermos.model import TaskSpec
from thermos.monitor.detect import Found
from thermos.monitor.follow import TaskView, read_task
from thermos.recovery import load_active


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task that was found, and what its records tell; `trouble` says why there is no `view`."""

    found: Found
    view: TaskView | None
    trouble: str = ""


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Does an id begin with one of these regular expressions? All do when there are none. Raises UserError."""
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(re.compile(pattern))
        except re.error as error:
            raise UserError(f"bad regular expression {pattern!r}: {error}") from error
    return lambda task_id: not compiled or any(each.match(task_id) for each in compiled)


def read_tasks(found: Iterable[Found], kernel: Kernel) -> list[KnownTask]:
    """One that can't be read does not keep the others from being shown."""
    return [_read(each, kernel) for each in found]


def _read(found: Found, kernel: Kernel) -> KnownTask:
    try:
        view = read_task(found.paths, kernel)
    except HostError as error:
        return KnownTask(found, None, str(error))
    if not view.readable:
        return KnownTask(found, view, "checkpoint stream CORRUPT or outdated format")
    return KnownTask(found, view)


def plan_of(known: KnownTask) -> tuple[TaskSpec, View] | None:
    """The task's spec and its plan as of now; None when its JSON can't be read."""
    if known.view is None:
        return None
    try:
        spec = load_active(known.found.paths)
    except HostError:
        return None
    if spec is None:
        return None
    life = Lifecycle(spec)
    life.rebuild(known.view.task, now())
    return spec, View(spec, life.planner_of)
