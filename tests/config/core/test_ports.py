"""The aliasing matrix of portmaps, on both sides: what is asked for, and what a host hands to a task."""

import pytest

from config.core.ports import (
    PortmapCycle,
    host_ports,
    is_bad_port,
    port_name,
    requested_ports,
    resolve_portmap,
    static_ports,
)


@pytest.mark.parametrize(
    ("portmap", "referenced", "expected"),
    [
        ({}, [], []),
        ({}, ["http", "admin"], ["admin", "http"]),
        ({"http": 80}, ["http", "thrift"], ["thrift"]),
        ({"aurora": "http"}, ["http"], ["http"]),
        ({"aurora": "http"}, [], ["http"]),
        ({"aurora": "http", "http": 80}, ["http", "aurora"], []),
        ({"aurora": "http", "http": "80"}, ["aurora"], []),
        ({"aurora": "primary", "primary": "web"}, ["aurora", "other"], ["other", "web"]),
        ({"health": "http"}, ["health"], ["http"]),
    ],
)
def test_requested_ports(portmap: dict[str, str | int], referenced: list[str], expected: list[str]) -> None:
    assert requested_ports(referenced, portmap) == expected


@pytest.mark.parametrize(
    "portmap", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "a"}, {"x": "a", "a": "b", "b": "a"}]
)
def test_cycles_are_named(portmap: dict[str, str | int]) -> None:
    with pytest.raises(PortmapCycle, match=r"Found cycle in portmap! \w( -> \w)+"):
        resolve_portmap(portmap)


@pytest.mark.parametrize("portmap", [{1: "http"}, {"a": 1.5}, {"a": None}, {"a": True}, {"": "http"}])
def test_keys_are_names_and_values_names_or_numbers(portmap: dict[str, str | int]) -> None:
    with pytest.raises(ValueError, match="portmap"):
        resolve_portmap(portmap)


def test_static_ports() -> None:
    assert static_ports({"a": "b", "b": "80", "c": "d"}) == {"a": 80, "b": 80}


def test_a_host_knows_all_names_of_a_port_and_drops_what_leads_nowhere() -> None:
    assert host_ports({"http": 31000}, {"aurora": "http", "nobody": "gone"}) == {"http": 31000, "aurora": 31000}
    assert host_ports({"http": 31000}) == {"http": 31000}
    assert host_ports({}, {"web": 80}) == {"web": 80}


def test_an_assigned_port_beats_the_portmap() -> None:
    assert host_ports({"aurora": 31001}, {"aurora": "http"}) == {"aurora": 31001}


@pytest.mark.parametrize(
    ("address", "name", "bad"),
    [
        ("thermos.ports[http]", "http", False),
        ("thermos.ports[a-b/c.d]", "a-b/c.d", False),
        ("thermos.ports.http", None, True),
        ("thermos.ports", None, True),
        ("thermos.ports[http][x]", None, True),
        ("thermos.portsmouth", None, False),
        ("mesos.instance", None, False),
    ],
)
def test_shapes_of_port_references(address: str, name: str | None, bad: bool) -> None:
    assert port_name(address) == name
    assert is_bad_port(address) is bad
