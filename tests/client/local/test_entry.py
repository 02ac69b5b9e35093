"""The entry in clusters.json: nothing else in that file changes, and what is broken is left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from client.aurora.local_entry import check_free, register, unregister
from client.aurora.local_plan import cluster_entry
from client.clusters import load_clusters
from tests.client.local.plans import plan
from thermos.errors import HostError, UserError

ENTRY = cluster_entry(plan())
OTHER = {"name": "prod", "zk": "zk1", "scheduler_zk_path": "/aurora", "my-own": [1, {"ä": None}]}


def write(file: Path, document: Any) -> None:
    file.write_text(json.dumps(document))


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_a_file_is_made_and_left_as_it_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "home" / ".aurora" / "clusters.json"
    register(file, ENTRY)
    assert read(file) == [ENTRY]
    assert file.stat().st_mode & 0o777 == 0o644
    assert load_clusters([file]).get("rz1").scheduler_uri == "http://127.0.0.1:8081"
    assert unregister(file, "rz1")
    assert read(file) == []
    assert not unregister(file, "rz1")
    assert [path.name for path in file.parent.iterdir()] == ["clusters.json"]


@pytest.mark.parametrize(
    ("before", "between"),
    [
        ([OTHER], [OTHER, ENTRY]),
        ([{**ENTRY, "scheduler_uri": "old"}, OTHER], [ENTRY, OTHER]),
        ({"prod": {"zk": "zk1"}}, {"prod": {"zk": "zk1"}, "rz1": ENTRY}),
        ({"rz1": {"local": {}}, "prod": {"zk": "zk1"}}, {"rz1": ENTRY, "prod": {"zk": "zk1"}}),
        ({"x": {**ENTRY, "scheduler_uri": "old"}}, {"x": ENTRY}),
        ({}, {"rz1": ENTRY}),
    ],
)
def test_others_stay_in_their_order_and_form(tmp_path: Path, before: Any, between: Any) -> None:
    file = tmp_path / "clusters.json"
    write(file, before)
    register(file, ENTRY)
    assert read(file) == between
    assert list(read(file)) == list(between)
    assert unregister(file, "rz1")
    after = read(file)
    assert len(after) == len(between) - 1
    assert "local" not in file.read_text()


def test_what_somebody_else_wrote_is_not_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "clusters.json"
    theirs = [{"name": "rz1", "scheduler_uri": "http://real:8081"}]
    write(file, theirs)
    text = f"cluster 'rz1' is defined in {file}, and not by `aurora local`; choose another name: --cluster"
    with pytest.raises(UserError) as error:
        check_free((tmp_path / "none.json", file), "rz1")
    assert str(error.value) == text
    check_free((file,), "other")
    assert not unregister(file, "rz1")
    assert read(file) == theirs


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "aurora.json"
    real.parent.mkdir()
    write(real, [OTHER])
    real.chmod(0o600)
    file = tmp_path / "clusters.json"
    file.symlink_to("dotfiles/aurora.json")
    register(file, ENTRY)
    assert file.is_symlink()
    assert str(file.readlink()) == "dotfiles/aurora.json"
    assert read(real) == [OTHER, ENTRY]
    assert real.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', '[{"zk": "a"}]', '[{"name": "a"}, {"name": "a"}]', "\0"])
def test_a_broken_file_is_one_line_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "clusters.json"
    file.write_text(text)
    for attempt in (
        lambda: check_free((file,), "rz1"), lambda: register(file, ENTRY), lambda: unregister(file, "rz1"),
    ):  # fmt: skip
        with pytest.raises(UserError) as error:
            attempt()
        assert str(error.value).startswith(str(file))
        assert "\n" not in str(error.value)
    assert file.read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["clusters.json"]


def test_what_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match=r"cannot write .*/file/clusters\.json"):
        register(tmp_path / "file" / "clusters.json", ENTRY)
