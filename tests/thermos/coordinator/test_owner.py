"""What happens when the owner dies: nothing, or a stop after a while, as ordered."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.thermos.coordinator.harness import Host, read_line, stat_fields, stays_quiet


@pytest.fixture
def owner() -> Iterator[int]:
    """A process that stands for the owner; unreaped until the end of the test."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def identity(pid: int) -> str:
    return f"{pid}:{stat_fields(pid)[19]}"


def test_an_owner_that_dies_takes_the_run_along(host: Host, owner: int) -> None:
    run = host.bash("exec sleep 1000", on_owner_death="stop", owner=identity(owner))
    run.record("running")
    assert stays_quiet(run, 0.1)
    os.kill(owner, signal.SIGKILL)
    records = run.finish()
    assert [r["kind"] for r in records] == ["forked", "running", "stopped", "exited"]
    assert (records[2]["why"], records[2]["signal"], records[2]["signalled"]) == ("owner", 15, 1)


def test_the_stop_comes_after_owner_wait_and_is_a_polite_one(host: Host, owner: int) -> None:
    ready = host.fifo("ready")
    run = host.bash(
        "trap 'exit 6' TERM; echo > ready; while :; do read -t 100 x <> never; done",
        on_owner_death="stop",
        owner=identity(owner),
        owner_wait=400,
    )
    read_line(ready)
    before = time.monotonic()
    os.kill(owner, signal.SIGKILL)
    last = run.end()
    assert last["code"] == 6 and last["mono"] - before > 0.39


def test_a_kept_run_outlives_its_owner(host: Host, owner: int) -> None:
    go = host.fifo("go")
    run = host.bash("read x < go; exit 5", on_owner_death="keep", owner=identity(owner))
    run.record("running")
    os.kill(owner, signal.SIGKILL)
    assert stays_quiet(run, 0.2)
    os.write(go, b"\n")
    assert run.end()["code"] == 5


@pytest.mark.parametrize("who", ["dead", "somebody else"])
def test_an_owner_that_is_gone_already_counts_as_dead(host: Host, owner: int, who: str) -> None:
    name = identity(owner)
    if who == "dead":
        dead = os.posix_spawn("/bin/true", ["true"], {})
        name = f"{dead}:1"
        os.waitpid(dead, 0)
    else:
        name = f"{owner}:{int(name.split(':')[1]) + 1}"
    run = host.bash("exec sleep 1000", on_owner_death="stop", owner=name)
    assert [r["kind"] for r in run.finish()] == ["forked", "running", "stopped", "exited"]


def test_an_owner_that_dies_while_daemons_linger_takes_them_along(host: Host, owner: int) -> None:
    ready = host.fifo("ready")
    run = host.bash(
        "mkfifo sync; (setsid bash -c 'echo > ready; echo > sync; exec sleep 1000' &); read x < sync",
        on_owner_death="stop",
        owner=identity(owner),
    )
    read_line(ready)
    assert run.record("exited")["daemons"] == 1
    os.kill(owner, signal.SIGKILL)
    assert [r["kind"] for r in run.finish()][2:] == ["exited", "stopped", "gone"]
