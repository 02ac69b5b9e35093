"""What one walk over an object finds: unbound refs with their sites, and problems with full paths.

While walking, containers hand down a `Where` (one per struct or element, not per value), so a path is put together
only when there is something to say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from config.core.problem import Place, Problem, Severity
from config.dsl.refs import Ref
from config.dsl.refusals import Refusal
from config.dsl.scopes import Scope


class Where:
    """A container on the way from the root: under which key it is held, and in which scope its content is read."""

    __slots__ = ("holder", "key", "parent", "scope")

    def __init__(self, parent: Where | None, key: str, holder: Any, scope: Scope | None) -> None:
        self.parent = parent
        self.key = key
        self.holder = holder
        self.scope = scope


class Site(NamedTuple):
    """A value's place in the tree."""

    where: Where | None
    key: str


class Report:
    """Collects; nothing is thrown away and nothing stops the walk."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.unbound: dict[Ref, list[Site]] = {}
        #: Unbound refs that a problem at their site speaks of already.
        self.told: set[tuple[Ref, Site]] = set()
        #: What constructors refused, and the fields that are not set because of it.
        self.refused: list[Problem] = []
        self.lost: list[Site] = []

    def note_unbound(self, refs: tuple[Ref, ...], where: Where | None, key: str) -> None:
        for ref in refs:
            self.unbound.setdefault(ref, []).append(Site(where, key))

    def error(self, text: str, where: Where | None, key: str) -> None:
        self.problems.append(self.problem_at(text, Site(where, key)))

    def warn(self, text: str, where: Where | None, key: str) -> None:
        self.problems.append(self.problem_at(text, Site(where, key), Severity.WARNING))

    def note_refusals(self, refusals: tuple[Refusal, ...], where: Where) -> None:
        for refusal in refusals:
            if refusal.problem is not None:
                self.refused.append(refusal.problem)
            self.lost += (Site(where, f".{attr}") for attr in refusal.lost)

    def take(self, other: Report) -> None:
        """Everything that a trial walk over a part has found."""
        self.problems += other.problems
        self.take_notes(other)

    def take_notes(self, other: Report) -> None:
        """All but the problems, which are told in other words."""
        self.refused += other.refused
        self.lost += other.lost
        self.told |= other.told
        for ref, sites in other.unbound.items():
            self.unbound.setdefault(ref, []).extend(sites)

    def problem_at(self, text: str, site: Site, severity: Severity = Severity.ERROR) -> Problem:
        """A problem of the value at a site; its place is that of the nearest struct that knows one."""
        keys = [site.key]
        place: Place | None = None
        outermost = site.where
        at = site.where
        while at is not None:
            keys.append(at.key)
            if place is None:
                place = at.holder._place()
            outermost = at
            at = at.parent
        path = "".join(reversed(keys)).removeprefix(".")
        words = describe(self.root, outermost.scope if outermost is not None else None)
        return Problem(text, words, path, place, severity)


def describe(holder: Any, scope: Scope | None) -> str:
    """An object in words: its type, and its own name where it has one: Process `web`."""
    name = holder._own_name(scope)
    return f"{type(holder).__name__} `{name}`" if name else type(holder).__name__
