"""What people write for masters, what redirects say, what masters write into ZooKeeper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos.core.leader import (
    BadLocation,
    MasterList,
    ZooKeeperPath,
    leading_node,
    master_address,
    parse_masters,
    redirected,
)
from mesos.core.wire import BadMessage
from thermos.errors import UserError

#: Text -> addresses.
LISTS = {
    "m1": ("http://m1:5050",),
    "10.0.0.1:5055": ("http://10.0.0.1:5055",),
    " m1 , m2:81,": ("http://m1:5050", "http://m2:81"),
    "m1,m1:5050": ("http://m1:5050",),
    "http://m1:5050/": ("http://m1:5050",),
    "https://m1": ("https://m1:443",),
    "http://m1": ("http://m1:80",),
    "https://gate.example:8443/mesos/": ("https://gate.example:8443/mesos",),
    "http://m1:5050/api/v1/scheduler": ("http://m1:5050",),
    "[::1]:5050": ("http://[::1]:5050",),
    "http://[fe80::1]": ("http://[fe80::1]:80",),
}

BAD_TEXTS = [
    "",
    " ",
    ",",
    "ftp://m1",
    "http://",
    "http://user:secret@m1:5050",
    "m1:0",
    "m1:65536",
    "m1:port",
    "http://m1/?a=b",
    "http://m1/#a",
    "http://m1/a b",
    "m 1",
    "-m1",
    "m..1",
    "a" * 64 + ".example",
    "m1:5050,http://[::1",
    "zk://",
    "zk:///mesos",
    "zk://a:2181",
    "zk://a:2181/",
    "zk://a:x/mesos",
    "zk://a/../mesos",
    "zk://a//mesos/x//y",
    "zk://secret@a/mesos",
    "zk://:secret@a/mesos",
    "x" * 5000,
]


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_masters(text: str) -> None:
    assert parse_masters(text) == MasterList(LISTS[text])


def test_masters_without_a_scheme_get_the_one_that_is_given() -> None:
    assert parse_masters("m1,http://m2:5050", scheme="https") == MasterList(("https://m1:5050", "http://m2:5050"))


def test_a_path_in_zookeeper() -> None:
    assert parse_masters("zk://a,b:2182,[::1]:1/mesos/x/") == ZooKeeperPath(
        ("a:2181", "b:2182", "[::1]:1"), "/mesos/x", "http"
    )


def test_a_path_in_zookeeper_with_a_password_that_no_text_shows() -> None:
    found = parse_masters("zk://user:p%40ss@a:2181/mesos", scheme="https")
    assert isinstance(found, ZooKeeperPath)
    assert found.auth == "user:p@ss" and found.scheme == "https"
    assert "p@ss" not in repr(found)


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_a_text_that_names_no_master(text: str) -> None:
    with pytest.raises(UserError, match=r"\Acannot ") as caught:
        parse_masters(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 5200
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60) | st.from_regex(r"(zk|https?)://[a-z@:,/.\[\]%]{0,20}", fullmatch=True))
def test_any_text_is_masters_or_a_user_error(text: str) -> None:
    try:
        parse_masters(text)
    except UserError as error:
        assert "\n" not in str(error)


#: (where we are, Location) -> where to.
REDIRECTS = {
    ("http://a:5050", "//b:5051/api/v1/scheduler"): "http://b:5051",
    ("https://a:5050", "//b:5051/master/api/v1/scheduler"): "https://b:5051",
    ("http://a:5050", "//b:5051"): "http://b:5051",
    ("http://a:5050", "http://b:5051/api/v1/scheduler"): "http://b:5051",
    ("http://a:5050", "HTTP://B:5051/api/v1/scheduler/"): "http://b:5051",
    ("http://a:5050", "//[::1]:5051/"): "http://[::1]:5051",
    ("http://a:5050", "/api/v1/scheduler"): "http://a:5050",
    ("http://a:5050", "//"): "http://a:5050",
    ("http://a:5050/mesos", "/elsewhere"): "http://a:5050/mesos",
    ("http://a:5050", "//a:5050/master/api/v1/scheduler"): "http://a:5050",
    ("http://gate:80/x", "//gate/y/api/v1/scheduler"): "http://gate:80/y",
}

BAD_LOCATIONS = [
    "",
    " ",
    "//b:0/",
    "//b:99999/",
    "http://",
    "//us:er@b:1/",
    "//b b/",
    "x" * 5000,
    "//[::1",
    "gopher://b",
]


@pytest.mark.parametrize(("base", "location"), REDIRECTS)
def test_a_redirect(base: str, location: str) -> None:
    assert redirected(base, location) == REDIRECTS[base, location]


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_a_redirect_to_nowhere(location: str) -> None:
    with pytest.raises(BadLocation, match="redirects") as caught:
        redirected("http://a:5050", location)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(("base", "location"), [("https://a:1", "http://b:1/"), ("http://a:1", "https://b:1/")])
def test_a_redirect_to_another_scheme_is_not_followed(base: str, location: str) -> None:
    with pytest.raises(BadLocation, match="not followed"):
        redirected(base, location)


@given(st.text(max_size=60) | st.from_regex(r"(https?:)?//[a-zA-Z@:/.\[\]%0-9]{0,20}", fullmatch=True))
def test_any_location_leads_somewhere_or_is_bad(location: str) -> None:
    try:
        url = redirected("https://a:5050", location)
    except BadLocation:
        return
    assert url.startswith("https://")


def test_the_lowest_number_leads_and_other_nodes_do_not_count() -> None:
    names = [
        "log_replicas",
        "json.info_0000000012",
        "info_0000000001",
        "json.info_0000000009",
        "json.info_x",
        "json.info_",
    ]
    assert leading_node(names) == "json.info_0000000009"
    assert leading_node(["log_replicas"]) is None
    assert leading_node([]) is None


#: As a real master of Mesos 1.11 writes it.
NODE = (
    b'{"address":{"hostname":"m1.example","ip":"127.0.0.1","port":16200},"capabilities":[{"type":"AGENT_UPDATE"}],'
    b'"hostname":"m1.example","id":"cd6e1a0e","ip":16777343,"pid":"master@127.0.0.1:16200","port":16200,"version":"1.11.0"}'
)


def test_the_address_in_a_node() -> None:
    assert master_address(NODE) == "http://127.0.0.1:16200"
    assert master_address(NODE, "https") == "https://m1.example:16200"  # certificates hold names
    assert master_address(b'{"ip":16777343,"port":5051}') == "http://127.0.0.1:5051"  # an old master
    assert master_address(b'{"hostname":"m1"}') == "http://m1:5050"
    assert master_address(b'{"address":{"ip":"::1","port":5050}}') == "http://[::1]:5050"


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"ip": "x"}', b'{"hostname": "a b"}', b'{"hostname":"a","port":70000}', b"\xff\xfe"]
)
def test_a_node_that_names_no_master(data: bytes) -> None:
    with pytest.raises(BadMessage):
        master_address(data)


@given(st.binary(max_size=80))
def test_any_node_is_an_address_or_bad(data: bytes) -> None:
    try:
        master_address(data)
    except BadMessage:
        pass
