"""All problems of a loaded config at once, and the one error for whoever cannot go on with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from config.core.compile import is_job
from config.core.evaluate import place_at
from config.core.problem import Problem, Severity, is_error, render_problem
from config.core.rules import Checked, check_job, check_task, reading_order
from thermos.errors import ConfigError


class Loaded(Protocol):
    """What a config defines, and what was refused while it was loaded."""

    @property
    def objects(self) -> tuple[Any, ...]: ...

    @property
    def refused(self) -> tuple[Problem, ...]: ...


def check(loaded: Loaded) -> list[Problem]:
    """Every error and warning in reading order; jobs that share a line or have none in the order of the file."""
    checked = [(check_job if is_job(each) else check_task)(each) for each in loaded.objects]
    problems = [problem for each in checked for problem in each.problems]
    problems = [*loaded.refused, *problems, *_twins(loaded.objects, checked)]
    return sorted(dict.fromkeys(problems), key=reading_order)


def _twins(objects: Sequence[Any], checked: Sequence[Checked]) -> list[Problem]:
    """Jobs with the same key: none of them can be picked."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for job, each in zip(objects, checked, strict=True):
        if not is_job(job):
            continue
        key = tuple(str(each.data.get(field)) for field in ("cluster", "role", "environment", "name"))
        if key in seen:
            text = "is defined more than once in this config; which one is meant?"
            found.append(Problem(text, f"Job `{'/'.join(key)}`", "", place_at(job, ()), Severity.WARNING))
        seen.add(key)
    return found


def raise_errors(problems: Iterable[Problem]) -> None:
    """ConfigError with a line per error, if there are any; warnings don't count."""
    errors = [render_problem(problem) for problem in problems if is_error(problem)]
    if errors:
        raise ConfigError("\n".join(errors))


def raise_refusals(loaded: Loaded) -> None:
    """ConfigError with all errors of a config in which something was refused: its objects are not what was written."""
    if loaded.refused:
        raise_errors(check(loaded))
