"""Kernels and containers that show less: no children files in /proc, or no /proc at all. Variants of both programs are
built for it, so no rights are needed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.thermos.coordinator.conftest import PROGRAMS
from tests.thermos.coordinator.harness import (
    Host,
    Program,
    is_alive,
    read_line,
    stat_fields,
    stays_quiet,
    until,
    wait_gone,
)
from tests.thermos.coordinator.test_end import start_with_daemon
from tests.thermos.coordinator.test_stop import APP, pids, stopped


@pytest.fixture(params=PROGRAMS)
def childless(request: pytest.FixtureRequest, build: Callable[..., Program], new_host: Callable[..., Host]) -> Host:
    return new_host(build(request.param, "childless"))


@pytest.fixture(params=PROGRAMS)
def blind(request: pytest.FixtureRequest, build: Callable[..., Program], new_host: Callable[..., Host]) -> Host:
    return new_host(build(request.param, "blind"))


def test_without_children_files_all_of_proc_is_read(childless: Host) -> None:
    (childless.sandbox / "app").write_text(APP)
    ready = childless.fifo("ready")
    run = childless.bash("(setsid bash app said &); bash app said; true")
    for _ in range(2):
        read_line(ready)
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert (receipt["signalled"], receipt["left"], receipt["killed"]) == (5, 5, [])
    assert (childless.sandbox / "said").read_text() == "got-term\n" * 2


def test_without_children_files_daemons_and_leftovers_are_found(childless: Host) -> None:
    run, daemon, go = start_with_daemon(childless, "sleep 1000 & exit 5")
    assert run.record("exited")["daemons"] == 1 and is_alive(daemon)
    os.write(go, b"\n")
    assert run.end()["kind"] == "gone"


def test_without_children_files_everything_is_killed(childless: Host) -> None:
    ready = childless.fifo("ready")
    daemon = "setsid bash -c 'echo > ready; exec sleep 1000'"
    run = childless.bash(f"trap '' TERM; {daemon} & sleep 1000 & echo > ready; wait; true", stop_wait=100)
    for _ in range(2):
        read_line(ready)
    run.signal(signal.SIGTERM)
    receipt = stopped(run)
    assert receipt["killed_count"] == 3 and len(pids(receipt["daemons"])) == 1


def test_without_proc_a_run_is_recorded(blind: Host) -> None:
    records = blind.bash("echo hi; exit 3").finish()
    assert [r["kind"] for r in records] == ["forked", "running", "exited"]
    assert (records[0]["start"], records[0]["boot"], records[0]["pidns"], records[1]["start"]) == (0, "", 0, 0)
    assert records[2]["code"] == 3 and blind.log() == b"hi\n"


def test_without_proc_the_mains_group_dies_with_it(blind: Host) -> None:
    ready = blind.fifo("ready")
    run = blind.bash("sleep 1000 & echo $! > ready; exit 1")
    sleeper = int(read_line(ready))
    assert run.finish()[2]["code"] == 1
    wait_gone([sleeper])


def test_without_proc_the_group_is_asked_and_the_rest_killed_at_the_deadline(blind: Host) -> None:
    (blind.sandbox / "app").write_text(APP)
    ready = blind.fifo("ready")
    run = blind.bash("(trap '' TERM; echo $BASHPID > ready; read x <> never) & read x <> never; true", stop_wait=300)
    stubborn = int(read_line(ready))
    run.signal(signal.SIGTERM)
    records = run.finish()
    assert [r["kind"] for r in records][:4] == ["forked", "running", "stopped", "exited"]
    assert records[3]["signal"] == signal.SIGTERM and records[2]["mono"] - records[1]["mono"] > 0.25
    wait_gone([stubborn])


def test_without_proc_everything_in_the_group_is_killed_at_once(blind: Host) -> None:
    ready = blind.fifo("ready")
    run = blind.bash("trap '' TERM; sleep 1000 & echo $! > ready; wait")
    sleeper = int(read_line(ready))
    run.signal(signal.SIGQUIT)
    assert run.finish()[3]["signal"] == signal.SIGKILL
    wait_gone([sleeper])


def test_without_proc_daemons_are_lingered_for(blind: Host) -> None:
    run, _, go = start_with_daemon(blind)
    assert run.record("exited")["daemons"] == 0  # nobody can count them
    main = run.record("running")["pid"]
    until(lambda: not stat_fields(main))  # only now it can know that there is somebody
    assert stays_quiet(run, 0.1)
    os.write(go, b"\n")
    assert run.end()["kind"] == "gone"
