"""All that is wrong with a job or a task, at once: types and fields, open references, and the rules of the whole.

`check_job` and `check_task` take the objects as users wrote them (with what `--bind` gave). An error means that a
scheduler or a runner could not do what is written; a warning, that it is probably not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, NamedTuple

from config.core.binding import JOB_BINDINGS, is_host_ref, is_task_ref, unbound_job_text, unbound_task_text
from config.core.evaluate import Evaluation, evaluate
from config.core.finding import Finding
from config.core.job_rules import job_findings
from config.core.ports import bad_port_text, is_bad_port
from config.core.problem import Problem, is_error
from config.core.task_rules import idle_findings, task_findings


class Checked(NamedTuple):
    """A job or task as plain data, with all its problems; `data` may be used only if none of them is an error."""

    data: dict[str, Any]
    problems: list[Problem]

    @property
    def ok(self) -> bool:
        return not any(map(is_error, self.problems))


def check_job(job: Any) -> Checked:
    """Everything about a job that can be said before it is sent."""
    evaluation = evaluate(bind_job(job))
    return checked(evaluation, job_findings(evaluation.data), is_host_ref, unbound_job_text)


def check_task(task: Any) -> Checked:
    """Everything about a task that can be said before it runs."""
    evaluation = evaluate(task)
    findings = chain(task_findings(evaluation.data), idle_findings(evaluation.data))
    return checked(evaluation, findings, is_task_ref, unbound_task_text)


def bind_job(job: Any) -> Any:
    """The job with the bindings that every job gets from the client."""
    return job.bind(JOB_BINDINGS)


def checked(
    evaluation: Evaluation, findings: Iterable[Finding], is_allowed: Callable[[str], bool], say: Callable[[str], str]
) -> Checked:
    """The engine's problems, then open references, then the rules.

    What a rule says of a field that is wrong already would often be a mere consequence; only what is `certain` is told.
    """
    problems = list(evaluation.problems)
    for address, field in evaluation.open_refs(is_allowed):
        text = bad_port_text(address) if is_bad_port(address) else say(address)
        problems.append(evaluation.problem_in(text, field))
    wrong = {problem.field for problem in problems if is_error(problem)} | evaluation.lost
    for finding in findings:
        problem = evaluation.problem(finding)
        if finding.certain or problem.field not in wrong or not problem.field:
            problems.append(problem)
    return Checked(evaluation.data, sorted([*evaluation.refused, *problems], key=reading_order))


def reading_order(problem: Problem) -> tuple[bool, str, int]:
    """By file and line, those without a place last; the rest stays as it was found."""
    place = problem.place
    return (True, "", 0) if place is None else (False, place.file, place.line or 0)
