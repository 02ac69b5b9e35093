"""Named ports: which ones a task asks for, and what the names of an announcer's portmap lead to.

A process asks for a port by mentioning `{{thermos.ports[NAME]}}`. An announcer's portmap gives ports further names:
a value is the name of another entry, the name of a real port, or a fixed number (a static port). Names are followed
until they leave the map, so what has to be allocated is what is left when the aliases are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

#: What a port may be called, so that a reference can name it.
PORT_NAME = re.compile(r"[\w\-./]+")

_PORT = re.compile(rf"thermos\.ports\[({PORT_NAME.pattern})\]")
_DECIMAL = re.compile(r"[0-9]+")


class PortmapCycle(ValueError):
    """Following a name of the portmap leads back to it."""


def port_name(address: str) -> str | None:
    """The port that the reference `thermos.ports[NAME]` names, or None if it has another shape."""
    match = _PORT.fullmatch(address)
    return match[1] if match else None


def is_bad_port(address: str) -> bool:
    """A reference to something about ports that no port can be found by, like `thermos.ports.http`."""
    return re.match(r"thermos\.ports(?!\w)", address) is not None and port_name(address) is None


def bad_port_text(address: str) -> str:
    """The message for such a reference."""
    return f'Bad port specification "{address}" (should be of form "thermos.ports[name]")'


def resolve_portmap(portmap: Mapping[str, str | int]) -> dict[str, str | int]:
    """Every name with what it finally means: a number, or the name of a port that isn't in the map.

    Raises PortmapCycle, and ValueError for keys that are no names or values that are neither names nor numbers.
    """
    plain = {_checked_name(name): _target(value) for name, value in portmap.items()}
    return {name: _follow(name, plain) for name in plain}


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ValueError(f"all portmap keys must be names, got {name!r}")
    return name


def _target(value: object) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"all portmap values must be names or port numbers, got {value!r}")
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return int(value)
    return value


def _follow(name: str, portmap: Mapping[str, str | int]) -> str | int:
    seen = [name]
    target = portmap[name]
    while isinstance(target, str) and target in portmap:
        if target in seen:
            raise PortmapCycle(f"Found cycle in portmap! {' -> '.join([*seen, target])}")
        seen.append(target)
        target = portmap[target]
    return target


def requested_ports(referenced: Iterable[str], portmap: Mapping[str, str | int] | None = None) -> list[str]:
    """Sorted names of the ports to allocate: what processes mention and the portmap leads to, but no numbers."""
    resolved = resolve_portmap(portmap or {})
    wanted = {*resolved.values(), *(resolved.get(name, name) for name in referenced)}
    return sorted(name for name in wanted if isinstance(name, str))


def port_name_refusal(name: str) -> str | None:
    """Why a port can't be called so, or None."""
    if PORT_NAME.fullmatch(name):
        return None
    return f"Invalid port name `{name}`; use letters, digits, `_`, `-`, `.` and `/`"


def static_ports(portmap: Mapping[str, str | int]) -> dict[str, int]:
    """Names that mean a fixed number, with that number."""
    return {name: port for name, port in resolve_portmap(portmap).items() if isinstance(port, int)}


def host_ports(assigned: Mapping[str, int], portmap: Mapping[str, str | int] | None = None) -> dict[str, int]:
    """All names a task may use on its host: assigned ports, static ports, and aliases of either.

    An alias that leads to no number is left out (nobody got a port for it).
    """
    known = {**(portmap or {}), **assigned}
    return {name: port for name, port in resolve_portmap(known).items() if isinstance(port, int)}
