"""Ports on the command line: `-P NAME:PORT`, 0 for one that is free, and what to say about those nobody bound."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping, Sequence

from thermos.errors import HostError, UserError


def parse_ports(texts: Iterable[str]) -> dict[str, int]:
    """`NAME:PORT`s as a map. Raises UserError."""
    ports: dict[str, int] = {}
    for text in texts:
        name, colon, number = text.rpartition(":")
        if not colon or not name or ":" in name:
            raise UserError(f"Invalid value for -P: {text} should be of form NAME:PORT")
        if not (number.isascii() and number.isdigit()):
            raise UserError(f"Port does not appear to be an integer: {number}")
        if int(number) > 65535:
            raise UserError(f"Invalid value for -P: {number} is no port number (0 to 65535, 0: pick a free one)")
        if ports.get(name, int(number)) != int(number):
            raise UserError(f"Invalid value for -P: port {name} is given twice")
        ports[name] = int(number)
    return ports


def unbound_text(names: Sequence[str]) -> str:
    """What to say when a task needs ports that nobody bound."""
    hint = " ".join(f"-P {name}:{8080 + i}" for i, name in enumerate(names[:3]))
    return (
        f"ERROR!  Unbound ports: {' '.join(names)}. Bind each ({hint}), "
        f"or have free ones picked (-P {names[0]}:0, or --auto-ports for all)"
    )


def settle_ports(
    required: Sequence[str], given: Mapping[str, int], *, auto: bool, before: Mapping[str, int]
) -> dict[str, int]:
    """Every port with its number. `before`: what an earlier run of the same task had; a picked port stays the same.

    Raises UserError for ports that nobody bound.
    """
    wanted = dict(given)
    if auto:
        wanted |= dict.fromkeys((name for name in required if name not in given), 0)
    missing = [name for name in required if name not in wanted]
    if missing:
        raise UserError(unbound_text(missing))
    free = iter(free_ports(sum(not number and name not in before for name, number in wanted.items())))
    return {name: number or before.get(name) or next(free) for name, number in wanted.items()}


def free_ports(count: int) -> list[int]:
    """Numbers of TCP ports that nobody listens on now, all different. Raises HostError."""
    held: list[socket.socket] = []
    try:
        for _ in range(count):
            held.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            held[-1].bind(("", 0))
        return [holder.getsockname()[1] for holder in held]
    except OSError as error:
        raise HostError(f"cannot find a free port: {error.strerror}") from error
    finally:
        for holder in held:
            holder.close()
