"""What can go wrong between a command and the scheduler, by whose fault it is."""

from __future__ import annotations

from collections.abc import Sequence

from thermos.errors import RemoteError


class NetworkError(RemoteError):
    """The scheduler can't be reached, the connection broke, or what answers is no scheduler."""


class TimedOut(RemoteError):
    """No answer, or no end of what was waited for, within the time for it."""


class ApiError(RemoteError):
    """The scheduler refused; `code` is its word for it, `problems` are all of them, `FIELD: text` each."""

    def __init__(self, status: int, code: str, text: str, problems: Sequence[str] = ()) -> None:
        super().__init__(_told(text, problems))
        self.status = status
        self.code = code
        self.text = text
        self.problems = tuple(problems)


def _told(text: str, problems: Sequence[str]) -> str:
    """A line for each problem, if `text` does not say it already."""
    if not problems or text == problems[0]:
        return text
    head = "the scheduler refused:" if text.startswith(problems[0]) else text
    return "\n".join([head, *(f"  {problem}" for problem in problems)])


class AuthError(ApiError):
    """It does not know who asks, or they may not."""
