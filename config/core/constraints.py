"""Host constraints as users write them: `limit:2`, `a,b`, `!a,b`, and the special attribute `dedicated`."""

from __future__ import annotations

import re
from typing import NamedTuple


class LimitConstraint(NamedTuple):
    """At most `limit` instances of the job per value of the attribute."""

    limit: int


class ValueConstraint(NamedTuple):
    """The attribute must have one of the values (or none of them, if negated)."""

    values: tuple[str, ...]
    negated: bool


def parse_constraint(text: str) -> LimitConstraint | ValueConstraint:
    """Read one constraint; raises ValueError with a text for the user."""
    if text.startswith("limit:"):
        number = text.removeprefix("limit:").strip()
        if not re.fullmatch(r"[0-9]+", number) or int(number) < 1:
            raise ValueError(f"`{text}` is not a valid limit constraint; write `limit:N` with a number N from 1 on")
        return LimitConstraint(int(number))
    negated = text.startswith("!")
    values = [value.strip() for value in text.removeprefix("!").split(",")]
    if not all(values):
        raise ValueError(f"`{text}` has an empty value; write `a,b`, `!a,b` or `limit:N`")
    return ValueConstraint(tuple(dict.fromkeys(values)), negated)


def dedicated_refusal(text: str, role: str | None) -> str | None:
    """Why `dedicated=text` can't be used by a job of `role`, or None."""
    constraint = parse_constraint(text)
    if isinstance(constraint, LimitConstraint) or constraint.negated or len(constraint.values) != 1:
        return f"the dedicated constraint must be a single value like `{role or 'ROLE'}/pool` or `*/pool`, not `{text}`"
    owner = constraint.values[0].partition("/")[0]
    if role is not None and owner not in (role, "*"):
        return f"only jobs of role `{owner}` may use hosts dedicated to `{text}`, and this job's role is `{role}`"
    return None
