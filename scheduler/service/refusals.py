"""What an asker is told when something is not done: one line, a code for programs, and all that is wrong.

Nothing was changed when a refusal is raised.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from scheduler.core.model import JobKey
from scheduler.core.problem import Problem
from thermos.errors import UserError

#: Of many problems so many are told in the line.
TOLD = 5


class RefusalCode(StrEnum):
    INVALID_REQUEST = "INVALID_REQUEST"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    JOB_UPDATING = "JOB_UPDATING"
    NOT_ALLOWED = "NOT_ALLOWED"
    TRANSIENT = "TRANSIENT"


class Refusal(UserError):
    def __init__(self, code: RefusalCode, text: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(text)
        self.code = code
        self.problems = tuple(problems)

    @property
    def more(self) -> dict[str, Any]:
        """For programs, beside the code."""
        return {}


def invalid(text: str) -> Refusal:
    return Refusal(RefusalCode.INVALID_REQUEST, text)


def not_found(text: str) -> Refusal:
    return Refusal(RefusalCode.NOT_FOUND, text)


def job_updating() -> Refusal:
    return Refusal(RefusalCode.JOB_UPDATING, "Job is currently updating")


def already_exists(job: JobKey) -> Refusal:
    return Refusal(RefusalCode.ALREADY_EXISTS, f"Job {job} already exists")


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Raises Refusal if there are any."""
    if not problems:
        return
    text = "; ".join(str(problem) for problem in problems[:TOLD])
    if len(problems) > TOLD:
        text += f"; and {len(problems) - TOLD} more"
    raise Refusal(RefusalCode.INVALID_REQUEST, text, problems)
