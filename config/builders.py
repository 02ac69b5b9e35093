"""Plain functions that users build tasks with: order, sequential and simple tasks, combining tasks, option strings.

Nothing is interpolated here unless a value is needed (resources are added up), and everything comes out in the order
in which it was first seen, so that the same file always gives the same job.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from config.dsl import List, String
from config.schema import GB, Constraint, Process, Resources, Task


def order(*processes: Any) -> Any:
    """One constraint: these processes (or names) run one after another. Lists of constraints add up with `+`."""
    return [Constraint(order=[_name(process) for process in processes])]


def _name(process: Any) -> Any:
    if isinstance(process, Process):
        return process.name()
    if isinstance(process, str | String):
        return process
    raise ValueError(f"Unknown value for process order: {process!r}; give processes or their names")


class Units:
    """Adding up what tasks have."""

    @staticmethod
    def safe_get(value: Any) -> Any:
        """The plain number of a field, 0 where it is unset. Raises ValueError for a template that nothing fills."""
        plain = value.get() if hasattr(value, "get") else 0
        if isinstance(plain, str):
            raise ValueError(f"cannot add up `{plain}`: bind it before tasks are combined")
        return plain

    @staticmethod
    def resources_sum(*resources: Any) -> Any:
        """Resources that suffice for all at the same time."""
        return _fold_resources(sum, resources)

    @staticmethod
    def resources_max(resources: Iterable[Any]) -> Any:
        """Resources that suffice for one after another."""
        return _fold_resources(max, tuple(resources))

    @staticmethod
    def finalization_wait_sum(waits: Iterable[Any]) -> int:
        return sum(map(Units.safe_get, waits))

    @staticmethod
    def finalization_wait_max(waits: Iterable[Any]) -> int:
        return max(map(Units.safe_get, waits), default=0)

    @staticmethod
    def processes_merge(tasks: Iterable[Any]) -> Any:
        """All processes, equal ones once, in first-seen order."""
        return List(Process)(_unique(process for task in tasks for process in _list_of(task, "processes")))

    @staticmethod
    def constraints_merge(tasks: Iterable[Any]) -> Any:
        """All constraints, equal ones once, in first-seen order."""
        return List(Constraint)(_unique(c for task in tasks for c in _list_of(task, "constraints")))


def _fold_resources(fold: Callable[[list[Any]], Any], resources: tuple[Any, ...]) -> Any:
    if not resources:
        return Resources()
    fields = {
        field: fold([Units.safe_get(getattr(one, field)()) for one in resources if _has(one, field)] or [0])
        for field in ("cpu", "ram", "disk", "gpu")
    }
    return Resources(fields)


def _has(obj: Any, field: str) -> bool:
    return bool(getattr(obj, f"has_{field}")())


def _list_of(task: Any, field: str) -> list[Any]:
    return list(getattr(task, field)()) if _has(task, field) else []


def _unique(items: Iterable[Any]) -> list[Any]:
    seen: dict[Hashable, None] = dict.fromkeys(items)
    return list(seen)


class Processes:
    """Namespace, as in old configs."""

    order = staticmethod(order)


def sequential_task(*mappings: Any, **fields: Any) -> Any:
    """A task whose processes run one after another."""
    given = {name: value for mapping in (*mappings, fields) for name, value in mapping.items()}
    task = Task(given)
    if task.has_constraints() and len(given.get("constraints") or ()) > 0:
        raise ValueError("Cannot turn a Task with existing constraints into a SequentialTask!")
    processes = [Process(p) if isinstance(p, Mapping) else p for p in given.get("processes") or ()]
    return task(constraints=order(*processes) if processes else [])


def simple_task(name: Any, command: Any) -> Any:
    """A task of one process of the same name: 1 core, 1 GB of memory, 1 GB of disk."""
    process = Process(name=name, cmdline=command)
    return Task(name=name, processes=[process], resources=Resources(cpu=1.0, ram=1 * GB, disk=1 * GB))


def combine_tasks(*tasks: Any, **fields: Any) -> Any:
    """A task with the processes of all, side by side; what can't be merged comes from the last one."""
    wait = Units.finalization_wait_max(task.finalization_wait() for task in tasks)
    return _merged(tasks, [], Units.resources_sum, wait)(**fields)


def concat_tasks(*tasks: Any, **fields: Any) -> Any:
    """A task that runs the tasks one after another: every process waits for all of the task before."""
    names = [[process.name() for process in _list_of(task, "processes")] for task in tasks]
    cross = [
        Constraint(order=[before, after])
        for earlier, later in pairwise(names)
        for before in earlier
        for after in later
        if before != after
    ]
    wait = Units.finalization_wait_sum(task.finalization_wait() for task in tasks)
    return _merged(tasks, cross, lambda *all_of: Units.resources_max(all_of), wait)(**fields)


def _merged(tasks: tuple[Any, ...], cross: list[Any], merge: Callable[..., Any], wait: int) -> Any:
    """The last task with the processes and constraints of all; resources only if any task has some."""
    if not tasks:
        return Task()
    resources = [task.resources() for task in tasks if task.has_resources()]
    constraints = [*Units.constraints_merge(tasks), *cross]
    merged = tasks[-1](processes=Units.processes_merge(tasks), constraints=_unique(constraints), finalization_wait=wait)
    return merged(resources=merge(*resources)) if resources else merged


class Tasks:
    """Namespace, as in old configs."""

    simple = staticmethod(simple_task)
    sequential = staticmethod(sequential_task)
    combine = staticmethod(combine_tasks)
    concat = staticmethod(concat_tasks)


def java_options(*options: Any, **named: Any) -> str:
    """`java_options('server', Xmx='1g')` -> `-server -Xmx 1g`."""
    return _options(lambda _name: "-", options, named)


def python_options(*options: Any, **named: Any) -> str:
    """`python_options('v', port=80)` -> `-v --port 80`."""
    return _options(lambda name: "-" if len(name) == 1 else "--", options, named)


def _options(dashes: Callable[[str], str], options: tuple[Any, ...], named: Mapping[str, Any]) -> str:
    """None and False mean an option without value; 0 and '' are values."""
    words: list[str] = []
    for option in (*options, named):
        if isinstance(option, Mapping):
            words += (_option(dashes, str(name), value) for name, value in option.items())
        else:
            words.append(_option(dashes, str(option), None))
    return " ".join(words)


def _option(dashes: Callable[[str], str], name: str, value: Any) -> str:
    shown = f"{dashes(name)}{name}"
    if value is None or value is False:
        return shown
    return f"{shown} {value}" if str(value) else f"{shown} ''"


SequentialTask = sequential_task
SimpleTask = simple_task
