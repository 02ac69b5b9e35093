"""Matcher: a pattern over references, to find and bind all of a kind.

`Matcher('docker').image[Any][Any]` matches what is unbound in an object like `{{docker.image[web][3.1]}}`; `.apply`
binds for each match what a function of the matched components returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any as Anything

from config.dsl.objects import Object
from config.dsl.refs import Dereference, Index, Ref, Step


class Any:
    """Stands for any one component."""


def _regex(pattern: Anything) -> re.Pattern[str]:
    """A component has to match as a whole."""
    return re.compile(".*" if pattern is Any else pattern)


class Matcher:
    """An immutable pattern; `.name` and `[name]` (regular expressions, or Any) return a longer one."""

    __slots__ = ("_components",)

    class Error(Exception):
        pass

    class NoMatch(Error):
        pass

    def __init__(self, root: Anything = None) -> None:
        if root is not None and root is not Any and not isinstance(root, str):
            raise ValueError(f"Invalid root match value: {root}")
        self._components: tuple[Step, ...] = () if root is None else (Dereference(_regex(root)),)

    def _extend(self, component: Step) -> Matcher:
        longer = Matcher()
        longer._components = (*self._components, component)
        return longer

    def __getattr__(self, pattern: str) -> Anything:
        if pattern == "_":
            return lambda regex: self._extend(Dereference(_regex(regex)))
        if pattern.startswith("__"):
            raise AttributeError(pattern)
        return self._extend(Dereference(_regex(Any if pattern == "Any" else pattern)))

    def __getitem__(self, pattern: Anything) -> Matcher:
        return self._extend(Index(_regex(pattern)))

    def __repr__(self) -> str:
        return f"Match({'+'.join(component.FORM % component.value.pattern for component in self._components)})"

    def match(self, obj: Object) -> Iterator[tuple[str, ...]]:
        """The components, as strings, of each unbound ref that begins like the pattern."""
        size = len(self._components)
        for ref in obj.interpolate()[1]:
            parts = ref.components()[:size]
            if len(parts) == size and all(
                type(pattern) is type(part) and pattern.value.fullmatch(part.value)
                for pattern, part in zip(self._components, parts, strict=True)
            ):
                yield tuple(part.value for part in parts)

    def apply(self, binder: Callable[..., Anything], obj: Anything) -> Anything:
        """The object with `binder(*components)` bound to each match."""
        if not callable(binder):
            raise TypeError("binder must be a callable")
        for match in list(self.match(obj)):
            parts = [type(pattern)(part) for pattern, part in zip(self._components, match, strict=True)]
            obj = obj.bind({Ref(parts): binder(*match)})
        return obj
