"""Ports on the command line."""

from __future__ import annotations

import socket

import pytest

from client.thermos.ports import free_ports, parse_ports, settle_ports
from thermos.errors import UserError


def test_names_and_numbers() -> None:
    assert parse_ports(["http:80", "admin:0", "http:80"]) == {"http": 80, "admin": 0}


@pytest.mark.parametrize("text", ["http", ":80", "a:b:80", "http:", "http:-1", "http:65536", "http:8a", "http:²"])
def test_anything_else_is_named(text: str) -> None:
    with pytest.raises(UserError, match=r"Invalid value for -P|does not appear to be an integer"):
        parse_ports([text])


def test_a_name_can_not_have_two_numbers() -> None:
    with pytest.raises(UserError, match="port http is given twice"):
        parse_ports(["http:80", "http:81"])


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    with socket.socket() as listener:
        listener.bind(("", ports[0]))


def test_ports_that_were_picked_before_stay() -> None:
    settled = settle_ports(["a", "b", "c"], {"a": 80, "b": 0}, auto=True, before={"a": 1, "b": 4321, "c": 4322})
    assert settled == {"a": 80, "b": 4321, "c": 4322}


def test_a_given_port_that_nobody_asked_for_is_bound_too() -> None:
    assert settle_ports([], {"http": 80}, auto=False, before={}) == {"http": 80}


def test_unbound_ports_say_what_to_type() -> None:
    with pytest.raises(UserError, match=r"ERROR!  Unbound ports: a b\. Bind each \(-P a:8080 -P b:8081\)"):
        settle_ports(["a", "b"], {}, auto=False, before={})
