"""Where tasks are looked for: item 126 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

from pathlib import Path

from client.context import search_roots
from thermos.monitor.detect import Found, find_tasks, mesos_roots


def put(root: Path, kind: str, name: str) -> None:
    place = root / "tasks" / kind
    place.mkdir(parents=True, exist_ok=True)
    (place / name).write_text("{}")


def test_126_fixed_and_found_roots_are_one_chain(tmp_path: Path) -> None:
    """What standalone tasks and Mesos executors have left is one list; each says where it is from."""
    mesos = tmp_path / "mesos"
    run = mesos / "slaves/S0/frameworks/F0/executors/thermos-m/runs/r1"
    put(run / "checkpoints", "active", "m")
    (run.parent / "latest").symlink_to(run)
    fixed = tmp_path / "fixed"
    put(fixed, "active", "f")
    put(fixed, "finished", "g")
    roots = [fixed, *mesos_roots(mesos), tmp_path / "nowhere"]
    assert find_tasks(roots) == [
        Found(fixed, "f", True),
        Found(run / "checkpoints", "m", True),
        Found(fixed, "g", False),
    ]


def test_126_the_command_searches_the_chain_that_it_is_told(tmp_path: Path) -> None:
    runs = tmp_path / "mesos/slaves/S0/frameworks/F0/executors/e/runs"
    for run in ("r1", "r2"):
        put(runs / run / "checkpoints", "active", f"m-{run}")
    roots = search_roots(str(tmp_path / "fixed"), str(tmp_path / "mesos"))
    assert {runs / "r1" / "checkpoints", runs / "r2" / "checkpoints"} <= set(roots)
    assert len(roots) == len(set(roots))
