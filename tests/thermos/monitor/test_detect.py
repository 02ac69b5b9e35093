"""Finding roots and tasks: both directories, Mesos' layout with its links, what is no task."""

from __future__ import annotations

from pathlib import Path

import pytest

from thermos.errors import HostError
from thermos.monitor.detect import Found, find_tasks, mesos_roots


def put(root: Path, kind: str, name: str) -> None:
    place = root / "tasks" / kind
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("{}")


def test_active_before_finished_each_by_id(tmp_path: Path) -> None:
    for kind, name in (("finished", "a"), ("active", "z"), ("active", "m")):
        put(tmp_path, kind, name)
    assert find_tasks([tmp_path]) == [
        Found(tmp_path, "m", True), Found(tmp_path, "z", True), Found(tmp_path, "a", False),
    ]  # fmt: skip


def test_an_id_in_both_directories_is_one_active_task(tmp_path: Path) -> None:
    put(tmp_path, "active", "t")
    put(tmp_path, "finished", "t")
    assert find_tasks([tmp_path]) == [Found(tmp_path, "t", True)]


def test_files_that_are_being_written_and_odd_names_are_no_tasks(tmp_path: Path) -> None:
    for name in (".t.new", "a b", "-x"):
        put(tmp_path, "active", name)
    assert find_tasks([tmp_path]) == []


def test_the_same_root_twice_counts_once(tmp_path: Path) -> None:
    put(tmp_path, "active", "t")
    assert len(find_tasks([tmp_path, tmp_path])) == 1


def test_a_root_that_does_not_exist_has_no_tasks(tmp_path: Path) -> None:
    assert find_tasks([tmp_path / "nowhere"]) == []
    (tmp_path / "tasks").write_text("a file")
    assert find_tasks([tmp_path]) == []


def test_a_root_that_can_not_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot read .*active: File name too long"):
        find_tasks([tmp_path / ("x" * 300)])


def test_mesos_roots_are_found_once_without_the_latest_link(tmp_path: Path) -> None:
    runs = tmp_path / "slaves" / "S0" / "frameworks" / "F0" / "executors" / "thermos-t" / "runs"
    for run in ("r1", "r2"):
        put(runs / run / "checkpoints", "active", f"t-{run}")
    (runs / "latest").symlink_to(runs / "r2")
    (tmp_path / "slaves" / "latest").symlink_to(tmp_path / "slaves" / "S0")
    roots = mesos_roots(tmp_path)
    assert roots == [runs / "r1" / "checkpoints", runs / "r2" / "checkpoints"]
    assert [task.task_id for task in find_tasks(roots)] == ["t-r1", "t-r2"]


def test_a_run_without_checkpoints_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "slaves" / "S0" / "frameworks" / "F0" / "executors" / "e" / "runs" / "r").mkdir(parents=True)
    assert mesos_roots(tmp_path) == []
    assert mesos_roots(tmp_path / "nowhere") == []
