"""Ports: free ones are found, and who has one that is not is named."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

import pytest

from client.aurora.local_plan import Ports, ports_of
from client.aurora.local_ports import (
    check_ports,
    choose_ports,
    describe_owner,
    is_free,
    parse_port,
    remark_on_task_ports,
)
from tests.client.local.plans import plan
from thermos.errors import HostError, UserError

HOSTS = plan().hosts


def test_those_that_are_named_stay_and_the_others_are_free() -> None:
    chosen = choose_ports(Ports(mesos=0, scheduler=8081, observer=0), HOSTS)
    assert chosen.scheduler == 8081
    there = ports_of(plan(ports=chosen))
    assert len(set(there.values())) == len(there)
    assert all(is_free(*place) for what, place in there.items() if what != "the scheduler")


def test_who_has_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.12", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free("127.0.0.12", port)
        me = Path("/proc/self/comm").read_text().strip()
        expected = f"{me} (pid {os.getpid()}, of {getpass.getuser()}) listens there"
        assert describe_owner(port) == expected
        chosen = choose_ports(Ports(mesos=0, scheduler=0, observer=0), HOSTS)
        taken = plan(ports=Ports(mesos=chosen.mesos, scheduler=chosen.scheduler, observer=port))
        with pytest.raises(HostError) as error:
            check_ports(taken)
    assert str(error.value) == (
        f"cannot start the observer at 127.0.0.12 at 127.0.0.12:{port}: {expected}; choose another port, or `auto`"
    )
    check_ports(plan(ports=chosen))
    assert describe_owner(port) == "the port is in use"


def test_one_port_is_not_given_to_two() -> None:
    with pytest.raises(HostError, match="cannot give port 5052 to the scheduler: Mesos agent 1 has it"):
        check_ports(plan(ports=Ports(mesos=5050, scheduler=5052, observer=1338)))


def test_what_people_write() -> None:
    assert [parse_port(text) for text in ("auto", "0", "1024", "65535")] == [0, 0, 1024, 65535]
    for wrong in ("", "x", "80", "65536", "-1", "٣٣٣٣", "5050.0"):
        with pytest.raises(UserError, match="is no port: write 1024 to 65535, or auto"):
            parse_port(wrong)


@pytest.mark.parametrize(
    ("text", "is_told"),
    [("32768\t60999\n", False), ("31999 60999", True), ("1024 31000", True), ("1024 30999", False), ("?", False)],
)
def test_ports_for_tasks_that_connections_may_have(text: str, is_told: bool, tmp_path: Path) -> None:
    file = tmp_path / "range"
    assert remark_on_task_ports(plan(task_ports=(31000, 31999)), file) is None, "there is no such file"
    file.write_text(text)
    told = remark_on_task_ports(plan(task_ports=(31000, 31999)), file)
    line = f"ports 31000-31999 for tasks are also given to outgoing connections ({'-'.join(text.split())})"
    assert (told or "").startswith(line) is is_told
    assert (told is not None) is is_told
