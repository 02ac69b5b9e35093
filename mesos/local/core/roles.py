"""Names of roles: what is one, and which lie below which (`ops/web` is a child of `ops`).

Texts as Mesos says them.
"""

from __future__ import annotations

from collections.abc import Iterable

from mesos.core.messages import Capability, FrameworkInfo
from mesos.local.core.resources import ANY_ROLE

_FORBIDDEN = "\t\n\v\f\r\x08 "


def problem_of_role(role: str) -> str | None:
    """Why it is no name of a role, in Mesos' words."""
    if role == ANY_ROLE:
        return None
    if not role:
        return "Role names cannot be the empty string"
    if role.startswith("/"):
        return f"Role '{role}' cannot start with a slash"
    if role.endswith("/"):
        return f"Role '{role}' cannot end with a slash"
    if "//" in role:
        return f"Role '{role}' cannot contain two adjacent slashes"
    return next((problem for part in role.split("/") if (problem := _problem_of_part(role, part))), None)


def _problem_of_part(role: str, part: str) -> str | None:
    if part == ".":
        return f"Role '{role}' cannot include '.' as a component"
    if part == "..":
        return f"Role '{role}' cannot include '..' as a component"
    if part == ANY_ROLE:
        return f"Role '{role}' cannot include '*' as a component"
    if part.startswith("-"):
        return f"Role component '{part}' is invalid because it starts with a dash"
    if any(sign in _FORBIDDEN for sign in part):
        return f"Role component '{part}' is invalid because it contains backspace or whitespace"
    return None


def is_below(role: str, ancestor: str) -> bool:
    return role.startswith(ancestor + "/")


def may_use(role: str, reserved_for: str) -> bool:
    """Whether what is reserved for `reserved_for` may be allocated to `role`: the same, or one below it."""
    return reserved_for in (ANY_ROLE, role) or is_below(role, reserved_for)


def lineage(role: str) -> tuple[str, ...]:
    """`a/b/c` -> `a`, `a/b`, `a/b/c`."""
    parts = role.split("/")
    return tuple("/".join(parts[: n + 1]) for n in range(len(parts)))


def roles_of(info: FrameworkInfo) -> tuple[str, ...]:
    """That a framework subscribes to."""
    if info.can(Capability.MULTI_ROLE):
        return tuple(dict.fromkeys(info.roles))
    return (info.role or ANY_ROLE,)


def shown(roles: Iterable[str]) -> str:
    """As Mesos prints sets: `{ a, b }`."""
    return "{ " + ", ".join(sorted(roles)) + " }"
