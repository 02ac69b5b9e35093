"""Pages of long lists: how much of one is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

from scheduler.core.problem import Problem
from scheduler.service.refusals import refuse_problems

T = TypeVar("T")


class Page(Struct, frozen=True):
    """`limit` things behind the first `offset`."""

    limit: int = 1000
    offset: int = 0

    def of(self, things: Sequence[T]) -> Sequence[T]:
        return things[self.offset : self.offset + self.limit]


#: Nobody gets more at once.
MOST = 10_000


def check_page(page: Page) -> None:
    """Raises Refusal."""
    problems = []
    if not 1 <= page.limit <= MOST:
        problems.append(Problem("limit", f"{page.limit} is not between 1 and {MOST}"))
    if page.offset < 0:
        problems.append(Problem("offset", f"{page.offset} is less than 0"))
    refuse_problems(problems)
