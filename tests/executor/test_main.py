"""`thermos_executor` as a command: what can't go on is one line and an exit code."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from executor.main import log, main
from thermos.clock import Now
from thermos.errors import Exit, UserError

AGENT = {"MESOS_AGENT_ENDPOINT": "127.0.0.1:1", "MESOS_FRAMEWORK_ID": "f", "MESOS_EXECUTOR_ID": "e"}


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in AGENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MESOS_DIRECTORY", str(tmp_path))


def test_an_error_of_ours_is_told_and_ends_it(
    agent: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("executor.main.run", broken)
    assert main([]) == Exit.INTERNAL
    *above, line = capsys.readouterr().err.splitlines()
    assert line == (
        "thermos_executor: internal error: ZeroDivisionError('oops'); please report it with the lines above"
    )
    assert above[0].startswith("Traceback")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--announcer-ensemble", "no such thing"], "cannot use 'no such thing' as a ZooKeeper ensemble"),
        (["--announcer-ensemble", "zk:2181", "--announcer-zookeeper-auth-config", "/no/such"], "cannot read "),
    ],
)
def test_flags_that_cannot_be_used(
    agent: None, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """Better at once than with the first task: the agent says that the executor has ended, and its log says why."""
    assert main(words) == UserError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"thermos_executor: {said}")


def test_a_log_line_has_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    log(Now(1_000_000_000.25, 0.0), "hello")
    line = capsys.readouterr().err
    assert line.endswith(".250 hello\n") and line.count("\n") == 1


def test_a_full_disk_costs_log_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = io.TextIOWrapper(io.FileIO(full, "w", closefd=False), write_through=True)
    monkeypatch.setattr("sys.stderr", stream)
    log(Now(0.0, 0.0), "x" * 100_000)
    monkeypatch.undo()
    os.close(full)
