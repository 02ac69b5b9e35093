"""Ports of this machine: which are free, and who has one that is not."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from pathlib import Path

from client.aurora.local_plan import LocalPlan, Ports, ports_of
from client.context import user_name
from thermos.errors import HostError, UserError

_PROC = Path("/proc")
_LISTEN = "0A"
#: First and last of those that the kernel gives to outgoing connections.
_OUTGOING = _PROC / "sys/net/ipv4/ip_local_port_range"

#: Where free ports are looked for: below those that the kernel gives to outgoing connections.
_CHOICE = range(22000, 30000)
_TRIES = 200

#: Asks for ports that are free now.
AUTO = 0


def is_free(address: str, port: int) -> bool:
    """Could a server listen there now?"""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def choose_ports(wanted: Ports, hosts: tuple[str, ...]) -> Ports:
    """The same, with free ones for those that are 0. Raises HostError."""
    taken = {wanted.scheduler, wanted.observer, *range(wanted.mesos, wanted.mesos + 1 + len(hosts))}
    chosen = []
    for port, addresses, count in (
        (wanted.mesos, ("127.0.0.1",), 1 + len(hosts)),
        (wanted.scheduler, ("127.0.0.1",), 1),
        (wanted.observer, ("127.0.0.1", *hosts), 1),
    ):
        found = port or _find(addresses, count, taken)
        taken |= set(range(found, found + count))
        chosen.append(found)
    return Ports(mesos=chosen[0], scheduler=chosen[1], observer=chosen[2])


def _find(addresses: Iterable[str], count: int, taken: set[int]) -> int:
    addresses = tuple(addresses)
    for _ in range(_TRIES):
        first = random.randrange(_CHOICE.start, _CHOICE.stop - count)
        ports = range(first, first + count)
        if taken.isdisjoint(ports) and all(is_free(address, port) for address in addresses for port in ports):
            return first
    raise HostError(f"cannot find {count} free ports in a row between {_CHOICE.start} and {_CHOICE.stop}")


def check_ports(plan: LocalPlan) -> None:
    """Everything that will be listened on must be free, and told apart. Raises HostError that names who has it."""
    seen: dict[tuple[str, int], str] = {}
    for what, place in ports_of(plan).items():
        if place in seen:
            raise HostError(f"cannot give port {place[1]} to {what}: {seen[place]} has it; choose others")
        seen[place] = what
    for what, (address, port) in ports_of(plan).items():
        if not is_free(address, port):
            who = describe_owner(port)
            raise HostError(f"cannot start {what} at {address}:{port}: {who}; choose another port, or `auto`")


def remark_on_task_ports(plan: LocalPlan, file: Path = _OUTGOING) -> str | None:
    """A connection of anybody may have one of them just when a task wants to listen there."""
    try:
        low, high = map(int, file.read_text().split())
    except (OSError, ValueError):
        return None
    first, last = plan.task_ports
    if first > high or last < low:
        return None
    return f"ports {first}-{last} for tasks are also given to outgoing connections ({low}-{high}): some may be in use"


def describe_owner(port: int) -> str:
    """Who listens on a port, as far as we may know."""
    inodes = _listeners(port)
    if not inodes:
        return "the port is in use"
    pid = _pid_of(set(inodes))
    if pid is not None:
        return f"{_name(pid)} (pid {pid}, of {user_name((_PROC / str(pid)).stat().st_uid)}) listens there"
    return f"a process of {user_name(next(iter(inodes.values())))} listens there"


def _listeners(port: int) -> dict[str, int]:
    """Inode of each socket that listens on the port -> the user's id."""
    found = {}
    for name in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / name).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                found[words[9]] = int(words[7])
    return found


def _pid_of(inodes: set[str]) -> int | None:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in _PROC.iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(_link(descriptor) in wanted for descriptor in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue  # not ours to see, or it has ended
    return None


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "comm").read_text().strip()
    except OSError:
        return "a process"


def parse_port(text: str) -> int:
    """A number, or `auto`. Raises UserError."""
    if text in ("auto", "0"):
        return AUTO
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise UserError(f"{text!r} is no port: write 1024 to 65535, or auto")
    return int(text)
