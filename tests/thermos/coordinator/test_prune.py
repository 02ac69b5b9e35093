"""Logs of runs that nobody remembers: removed as the user whose they are, and nothing else is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.thermos.coordinator.conftest import STRANGER, root_only
from tests.thermos.coordinator.harness import Host, read_line, until


def old_run(host: Host, number: int, *names: str) -> Path:
    directory = host.logs / "p" / str(number)
    directory.mkdir(parents=True)
    for name in names or ("stdout", "stderr", "stdout.1", "stderr.12"):
        (directory / name).write_text("old")
    return directory


def runs_left(host: Host) -> set[str]:
    return {path.name for path in (host.logs / "p").iterdir()}


def test_old_runs_are_removed_and_others_are_kept(host: Host) -> None:
    for number in range(6):
        old_run(host, number)
    records = host.bash("echo new", run=6, prune=[0, 2, 5, 77]).finish()
    assert [r["kind"] for r in records] == ["forked", "running", "exited"]
    assert runs_left(host) == {"1", "3", "4", "6"} and host.log(run=6) == b"new\n"
    assert {p.name for p in (host.logs / "p" / "3").iterdir()} == {"stdout", "stderr", "stdout.1", "stderr.12"}


@pytest.mark.parametrize("orders", [{"cwd": "/nowhere"}, {"mode": "rotate", "log_size": 10, "log_backups": 1}], ids=str)
def test_a_failed_set_up_and_pumped_logs_prune_too(host: Host, orders: dict[str, object]) -> None:
    old_run(host, 0)
    host.bash("echo new", run=1, prune=0, **orders).finish()
    assert runs_left(host) == {"1"}


def test_a_log_that_can_not_be_opened_does_not_keep_the_old_ones(host: Host) -> None:
    old_run(host, 0)
    (host.logs / "p" / "1" / "stdout").mkdir(parents=True)
    records = host.bash("true", run=1, prune=0).finish()
    assert (records[-1]["kind"], records[-1]["stage"]) == ("setup_failed", "log")
    assert runs_left(host) == {"1"}


def test_what_is_no_log_stays_and_so_does_its_directory(host: Host) -> None:
    directory = old_run(host, 0, "stdout", "notes")
    (directory / "stderr").mkdir()
    host.bash("true", run=1, prune=0).finish()
    assert {p.name for p in directory.iterdir()} >= {"notes", "stderr"}
    assert (directory / "notes").read_text() == "old"


def test_links_are_not_followed(host: Host) -> None:
    precious = host.root / "precious"
    precious.mkdir()
    (precious / "stdout").write_text("precious")
    (host.logs / "p").mkdir()
    (host.logs / "p" / "0").symlink_to(precious)
    directory = old_run(host, 1, "stderr")
    (directory / "stdout").symlink_to(precious / "stdout")
    host.bash("true", run=2, prune=[0, 1]).finish()
    assert (precious / "stdout").read_text() == "precious"
    assert runs_left(host) == {"0", "2"}  # the link to the file was removed, not the file


@root_only
def test_nothing_is_removed_that_the_user_may_not_remove(host: Host) -> None:
    os.chown(host.logs, STRANGER, STRANGER)
    parent = host.logs / "p"
    mine, his = old_run(host, 0), old_run(host, 1)
    os.chown(parent, STRANGER, STRANGER)
    for path in (his, *his.iterdir()):
        os.chown(path, STRANGER, STRANGER)
    host.bash("true", run=2, prune=[0, 1], uid=STRANGER, gid=STRANGER, groups="").finish()
    assert runs_left(host) == {"0", "2"} and len(list(mine.iterdir())) == 4


def test_running_is_recorded_before_anything_is_removed_and_pruning_ends(host: Host) -> None:
    """Many files: the command is up long before they are gone."""
    ready, go = host.fifo("ready"), host.fifo("go")
    directory = old_run(host, 0, *(f"stdout.{n}" for n in range(3000)))
    run = host.bash("echo > ready; read x < go", run=1, prune=0)
    read_line(ready)
    run.record("running")
    until(lambda: not directory.exists())
    os.write(go, b"\n")
    assert run.finish()[-1]["kind"] == "exited"


@pytest.mark.parametrize("prune", [["0", "-1"], ["x"], ["3"], [str(n) for n in range(100, 133)]], ids=str)
def test_orders_that_make_no_sense(host: Host, prune: list[str]) -> None:
    """Run 3 is this one; 32 can be pruned at once."""
    old_run(host, 0)
    records = host.bash("true", run=3, prune=prune).finish()
    assert (records[-1]["kind"], records[-1]["stage"]) == ("setup_failed", "orders")
    assert "0" in runs_left(host)
