"""Maintenance: the schedule of windows, machines that drain, are down, are up again.

A machine is one hostname and one address, both as its agents have them. In the schedule it drains: its agents' offers
say when it will be away. Brought down, its agents are removed and may not come back; brought up, they may, and its
window is over.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping, Sequence

import msgspec

from mesos.core.messages import MachineID, Message, Opaque, Unavailability
from mesos.local.core import inverse_offers, membership
from mesos.local.core.cluster import Cluster
from mesos.local.core.known_agents import Machine
from mesos.local.core.registry import MachineMode, Window


def machine_of(machine: MachineID) -> Machine:
    return machine.hostname.lower(), machine.ip


def _shown(machine: MachineID) -> str:
    return json.dumps(
        {k: v for k, v in (("hostname", machine.hostname), ("ip", machine.ip)) if v}, separators=(",", ":")
    )


class _Schedule(Message, frozen=True):
    windows: tuple[Window, ...] = ()


def read_windows(schedule: Mapping[str, object]) -> tuple[Window, ...]:
    """Raises ValueError with Mesos' words, or msgspec's for what is no schedule."""
    windows = msgspec.convert(schedule, _Schedule, strict=False).windows
    seen: set[Machine] = set()
    for window in windows:
        if not window.machine_ids:
            raise ValueError("List of machines in the maintenance window is empty")
        duration = window.unavailability.duration
        if duration is not None and duration.nanoseconds < 0:
            raise ValueError("Unavailability 'duration' is negative")
        for machine in window.machine_ids:
            check_machine(machine)
            if machine_of(machine) in seen:
                raise ValueError(f"Machine '{_shown(machine)}' appears more than once in the schedule")
            seen.add(machine_of(machine))
    return windows


def read_machines(machines: object) -> tuple[MachineID, ...]:
    """For /machine/down and /machine/up."""
    if not isinstance(machines, Sequence | None) or isinstance(machines, str):
        raise ValueError("Unexpected JSON type parsed")
    read = msgspec.convert(machines or [], tuple[MachineID, ...], strict=False)
    if not read:
        raise ValueError("List of machines is empty")
    for machine in read:
        check_machine(machine)
    if len({machine_of(machine) for machine in read}) < len(read):
        raise ValueError(f"Machine '{_shown(read[0])}' appears more than once in the list")
    return read


def check_machine(machine: MachineID) -> None:
    if not machine.hostname and not machine.ip:
        raise ValueError("Both 'hostname' and 'ip' for a machine are empty")
    if machine.ip:
        try:
            ipaddress.ip_address(machine.ip)
        except ValueError:
            raise ValueError(f"Failed to parse IPv4: {machine.ip}") from None


def windows_of(schedule: Sequence[Window]) -> dict[Machine, Unavailability]:
    return {machine_of(machine): window.unavailability for window in schedule for machine in window.machine_ids}


def set_schedule(cluster: Cluster, windows: tuple[Window, ...]) -> None:
    """Raises ValueError where it leaves out a machine that is down."""
    scheduled = windows_of(windows)
    for window in cluster.schedule:
        for machine in window.machine_ids:
            is_down = cluster.machines.get(machine_of(machine)) is MachineMode.DOWN
            if is_down and machine_of(machine) not in scheduled:
                raise ValueError(f"Machine '{_shown(machine)}' is deactivated and cannot be removed from the schedule")
    before = windows_of(cluster.schedule)
    cluster.schedule = windows
    for key in dict.fromkeys([*before, *scheduled]):
        if key not in scheduled:
            cluster.machines.pop(key, None)
        elif cluster.machines.get(key) is not MachineMode.DOWN:
            cluster.machines[key] = MachineMode.DRAINING
        _tell_agents(cluster, key, scheduled.get(key))


def _tell_agents(cluster: Cluster, machine: Machine, unavailability: Unavailability | None) -> None:
    for name in list(cluster.on_machine.get(machine, ())):
        inverse_offers.set_unavailability(cluster, cluster.agents[name], unavailability)


def _check_scheduled(cluster: Cluster, machine: MachineID) -> None:
    """A machine of the schedule is in some mode but UP; one with agents is known as UP."""
    if machine_of(machine) not in cluster.machines and machine_of(machine) not in cluster.on_machine:
        raise ValueError(f"Machine '{_shown(machine)}' is not part of a maintenance schedule")


def bring_down(cluster: Cluster, machines: Sequence[MachineID]) -> None:
    """Raises ValueError where one does not drain; then nothing happened."""
    for machine in machines:
        _check_scheduled(cluster, machine)
        if cluster.machines.get(machine_of(machine)) is not MachineMode.DRAINING:
            raise ValueError(f"Machine '{_shown(machine)}' is not in DRAINING mode and cannot be brought down")
    for machine in machines:
        cluster.machines[machine_of(machine)] = MachineMode.DOWN
        for name in list(cluster.on_machine.get(machine_of(machine), ())):
            membership.end_agent(cluster, cluster.agents[name], "Operator initiated 'Machine DOWN'")


def bring_up(cluster: Cluster, machines: Sequence[MachineID]) -> None:
    """Their part of the schedule is over. Raises ValueError where one is not down."""
    for machine in machines:
        _check_scheduled(cluster, machine)
        if cluster.machines.get(machine_of(machine)) is not MachineMode.DOWN:
            raise ValueError(f"Machine '{_shown(machine)}' is not in DOWN mode and cannot be brought up")
    up = {machine_of(machine) for machine in machines}
    for key in up:
        cluster.machines.pop(key, None)
    windows = []
    for window in cluster.schedule:
        left = tuple(machine for machine in window.machine_ids if machine_of(machine) not in up)
        if left:
            windows.append(Window(machine_ids=left, unavailability=window.unavailability))
    cluster.schedule = tuple(windows)


def schedule_view(cluster: Cluster) -> Opaque:
    windows: Opaque = msgspec.to_builtins({"windows": cluster.schedule})
    return windows if cluster.schedule else {}


def status_view(cluster: Cluster) -> Opaque:
    """Draining machines with what frameworks said, and machines that are down."""
    draining, down = [], []
    for window in cluster.schedule:
        for machine in window.machine_ids:
            key = machine_of(machine)
            if cluster.machines.get(key) is MachineMode.DOWN:
                down.append(msgspec.to_builtins(machine))
                continue
            entry: Opaque = {"id": msgspec.to_builtins(machine)}
            said = [s for name in cluster.on_machine.get(key, ()) for s in cluster.drains.said.get(name, {}).values()]
            if said:
                entry["statuses"] = msgspec.to_builtins(said)
            draining.append(entry)
    status: Opaque = {"draining_machines": draining, "down_machines": down}
    return {name: machines for name, machines in status.items() if machines}
