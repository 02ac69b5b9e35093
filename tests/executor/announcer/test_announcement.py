"""Path, data, ensemble: byte for byte, and what is wrong is told in one line (spec/thermos.md §4.6)."""

from __future__ import annotations

import json

import pytest

from config.core.ports import host_ports
from executor.core.announcement import (
    Announcement,
    announcement_path,
    check_ensemble,
    choose_path,
    connect_wait_s,
    path_refusal,
)
from executor.core.health_policy import HealthLimits
from thermos.errors import UserError


def test_data_byte_for_byte() -> None:
    """Spec §6.2 item 119: endpoints from the portmap."""
    announcement = Announcement("/aurora/r/e/j", "h.example.com", "http", {"http": 31001, "aurora": 31001}, 3)
    assert announcement.data == (
        b'{"serviceEndpoint":{"host":"h.example.com","port":31001},'
        b'"additionalEndpoints":{"aurora":{"host":"h.example.com","port":31001},'
        b'"http":{"host":"h.example.com","port":31001}},"status":"ALIVE","shard":3}'
    )


def test_a_primary_port_that_is_missing_is_port_0() -> None:
    """Spec §6.2 item 119: primary missing."""
    data = json.loads(Announcement("/p", "h", "http", {}, 0).data)
    assert data == {
        "serviceEndpoint": {"host": "h", "port": 0},
        "additionalEndpoints": {},
        "status": "ALIVE",
        "shard": 0,
    }


def test_only_numbers_of_the_portmap_are_endpoints() -> None:
    """Spec §6.2 item 119: aliases and static ports are, a name without a port is not."""
    ports = host_ports({"primary": 12345}, {"http": "80", "admin": "primary", "nowhere": "lost"})
    data = json.loads(Announcement("/p", "h", "admin", ports, 0).data)
    assert data["serviceEndpoint"]["port"] == 12345
    found = {name: end["port"] for name, end in data["additionalEndpoints"].items()}
    assert found == {"primary": 12345, "http": 80, "admin": 12345}


def test_hostname_is_what_the_executor_was_told() -> None:
    """Spec §6.2 item 119: hostname override."""
    assert json.loads(Announcement("/p", "other", "http", {"http": 1}, 0).data)["serviceEndpoint"]["host"] == "other"


@pytest.mark.parametrize(
    ("root", "path"),
    [("/aurora", "/aurora/r/e/j"), ("/aurora/", "/aurora/r/e/j"), ("", "/r/e/j"), ("a/b", "/a/b/r/e/j")],
)
def test_path(root: str, path: str) -> None:
    assert announcement_path(root, "r", "e", "j") == path
    assert choose_path(root, "r", "e", "j", None, allowed=False) == path


def test_a_path_of_its_own_where_it_is_allowed() -> None:
    """Spec §6.2 item 119: zk_path."""
    assert choose_path("/aurora", "r", "e", "j", "/uns/v1/prod/", allowed=True) == "/uns/v1/prod"


def test_a_path_of_its_own_that_is_not_allowed_is_one_clear_line_defect_15() -> None:
    with pytest.raises(UserError) as caught:
        choose_path("/aurora", "r", "e", "j", "/uns/v1", allowed=False)
    assert "--announcer-allow-custom-serverset-path" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["uns/v1", "", "/", "//", "/a//b", "/a/./b", "/a/../b", "/zookeeper", "/zookeeper/quota", "/a\0b", "/a\nb",
     "/\ud800", "/\U0001f600", "/\uf8ff", "/\x7f"],
)  # fmt: skip
def test_a_bad_path_is_one_clear_line_defect_15(path: str) -> None:
    with pytest.raises(UserError) as caught:
        choose_path("/aurora", "r", "e", "j", path, allowed=True)
    assert str(caught.value).startswith("cannot announce at ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["/a", "/a/b-c_d.e/f", "/ümlaut", "/.../x", "/zookeepers"])
def test_a_good_path(path: str) -> None:
    assert path_refusal(path) is None


@pytest.mark.parametrize(
    ("text", "ensemble"),
    [
        ("zk:2181", "zk:2181"),
        ("zk", "zk"),
        ("a:1,b:2 , c:3", "a:1,b:2,c:3"),
        ("a:1,b:2/below/x", "a:1,b:2/below/x"),
        ("a:1/", "a:1"),
        ("[::1]:2181", "[::1]:2181"),
    ],
)
def test_a_good_ensemble(text: str, ensemble: str) -> None:
    assert check_ensemble(text) == ensemble


@pytest.mark.parametrize(
    "text", ["", ",", "a:b", "a:0", "a:65536", "zk://a:1/x", "a:1,,b:2", "a b:1", "a:1/x//y", "a:1/../b"]
)
def test_a_bad_ensemble_is_one_clear_line(text: str) -> None:
    with pytest.raises(UserError) as caught:
        check_ensemble(text)
    assert "ZooKeeper ensemble" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_wait_for_the_first_connection() -> None:
    assert connect_wait_s(HealthLimits()) == 15.0
    assert connect_wait_s(HealthLimits(initial_interval_s=5, interval_s=2, max_failures=3)) == 11.0
