"""clusters.json: of the site and of the user, with all that can be wrong with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from client.clusters import Cluster, Clusters, cluster_files, load_clusters, parse_clusters
from thermos.errors import UserError

FILE = Path("clusters.json")


def test_files_of_the_site_and_of_the_user() -> None:
    assert cluster_files({"HOME": "/home/me"}) == (
        Path("/etc/aurora/clusters.json"),
        Path("/home/me/.aurora/clusters.json"),
    )
    there = cluster_files({"HOME": "/home/me", "AURORA_CONFIG_ROOT": "/home/me/.aurora"})
    assert there == (Path("/home/me/.aurora/clusters.json"),), "one file, not twice"


def test_later_files_win(tmp_path: Path) -> None:
    site, user, none = tmp_path / "site.json", tmp_path / "user.json", tmp_path / "none.json"
    site.write_text(json.dumps([{"name": "a", "zk": "z1"}, {"name": "b", "zk": "z1"}]))
    user.write_text(json.dumps({"b": {"scheduler_uri": "http://b:8081", "colour": "red"}}))
    clusters = load_clusters([site, none, user])
    assert set(clusters.known) == {"a", "b"}
    assert clusters.get("b").zk is None, "an entry replaces the whole entry"
    assert clusters.get("b").fields["colour"] == "red"
    assert clusters.get("b").file == str(user)
    assert clusters.files == (site, none, user)


def test_all_fields() -> None:
    entry = {
        "name": "a", "zk": "z", "zk_port": "2182", "scheduler_zk_path": "/s", "scheduler_uri": None, "proxy_url": "p",
        "auth_mechanism": "KERBEROS", "slave_root": "/m", "slave_run_directory": "x", "docker_registry": "https://r",
    }  # fmt: skip
    found = parse_clusters(FILE, json.dumps([entry]))["a"]
    assert found == Cluster("a", "z", 2182, "/s", None, "p", "KERBEROS", "/m", "x", "https://r", entry, str(FILE))
    bare = parse_clusters(FILE, '[{"name": "a"}]')["a"]
    assert (bare.zk_port, bare.slave_run_directory) == (2181, "latest")
    assert bare.docker_registry == "https://registry-1.docker.io"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[", "clusters.json:1: not JSON"),
        ('[\n{"name": "a"},\n]', "clusters.json:3: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("7", "write a list of clusters"),
        ("[7]", "entry 0 is no object"),
        ('{"a": 7}', "entry 0 is no object"),
        ('[{"name": "a"}, {}]', "entry 1 has no name"),
        ('[{"name": 7}]', "entry 0 has no name"),
        ('[{"name": "a"}, {"name": "a"}]', "cluster 'a' is there more than once"),
        ('[{"name": "a", "zk": 7}]', "cluster 'a': zk must be text, it is 7"),
        ('[{"name": "a", "zk_port": 0}]', "cluster 'a': zk_port must be a port number, it is 0"),
        ('[{"name": "a", "zk_port": true}]', "zk_port must be a port number"),
        ('[{"name": "a", "zk_port": "x"}]', "zk_port must be a port number"),
    ],
)
def test_what_is_wrong_is_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_clusters(FILE, text)
    assert words in str(caught.value)
    assert str(caught.value).startswith("clusters.json")
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*/d: Is a directory"):
        load_clusters([tmp_path / "d"])
    (tmp_path / "latin").write_bytes(b"\xff")
    with pytest.raises(UserError, match="latin: not UTF-8 text"):
        load_clusters([tmp_path / "latin"])


@pytest.mark.root
def test_a_file_that_is_not_for_us(tmp_path: Path) -> None:
    secret = tmp_path / "clusters.json"
    secret.write_text("[]")
    secret.chmod(0o000)
    tmp_path.chmod(0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(UserError, match=r"cannot read .*: Permission denied"):
            load_clusters([secret])
    finally:
        os.seteuid(0)


def test_an_unknown_cluster_names_the_known_ones_and_the_files(tmp_path: Path) -> None:
    file = tmp_path / "clusters.json"
    with pytest.raises(UserError) as caught:
        load_clusters([file]).get("x")
    assert str(caught.value) == f"unknown cluster 'x': no cluster is known (looked into {file})"
    file.write_text('[{"name": "b"}, {"name": "a"}]')
    with pytest.raises(UserError, match="there are a, b"):
        load_clusters([file]).get("x")


def test_names_are_told_without_what_they_would_do_to_a_terminal(tmp_path: Path) -> None:
    known = parse_clusters(tmp_path / "c", '{"a\\u001b[31m": {"scheduler_uri": "http://h:1"}}')
    with pytest.raises(UserError) as refused:
        Clusters(known, ()).get("b")
    assert "\x1b" not in str(refused.value)
