"""All problems of a loaded config at once, and the one error for whoever cannot go on with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from config.core.compile import is_job
from config.core.evaluate import place_at
from config.core.problem import Problem, Severity, is_error, render_problem
from config.core.rules import Checked, check_job, check_task
from config.loader import LoadedJobs, LoadedTasks
from thermos.errors import ConfigError


def check(loaded: LoadedJobs | LoadedTasks) -> list[Problem]:
    """Every error and warning, in the order of the file's jobs or tasks."""
    if isinstance(loaded, LoadedTasks):
        return [p for task in loaded.tasks for p in (check_job if is_job(task) else check_task)(task).problems]
    checked = [check_job(job) for job in loaded.jobs]
    return [problem for each in checked for problem in each.problems] + _twins(loaded.jobs, checked)


def _twins(jobs: Sequence[Any], checked: Sequence[Checked]) -> list[Problem]:
    """Jobs with the same key: none of them can be picked."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for job, each in zip(jobs, checked, strict=True):
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
