"""`--bind NAME=VALUE`: values that a command line gives to a config's references.

NAME is any reference (`profile.instances`, `ports[http]`), VALUE the text after the first `=`. Later ones win, and all
of them win against what the file binds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from config.dsl import Environment, InvalidRefError, Ref
from thermos.errors import UserError


def parse_bind(text: str) -> tuple[str, str]:
    """(name, value) of one `NAME=VALUE`. Raises UserError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise UserError(f"`{text}`: Binding must be of the form NAME=VALUE")
    try:
        Ref.from_address(name)
    except InvalidRefError:
        raise UserError(f"`{text}`: `{name}` is no name of a reference; write e.g. profile.name=…") from None
    return name, value


def parse_binds(texts: Iterable[str]) -> list[Environment]:
    """One environment per binding, in order. Raises UserError."""
    return [Environment({name: value}) for name, value in map(parse_bind, texts)]


def apply_binds(obj: Any, binds: Iterable[Environment]) -> Any:
    """The object with the bindings; the last one answers first."""
    binds = tuple(binds)
    return obj.bind(*binds) if binds else obj
