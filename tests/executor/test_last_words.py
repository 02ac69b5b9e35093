"""The message of a last status, from the records of a task."""

from __future__ import annotations

import pytest

from executor.last_words import MAX_MESSAGE, last_words
from mesos.core.messages import TaskState as MesosState
from thermos.core.fold import ProcessRecord, Run, TaskRecord
from thermos.core.states import ProcessState, TaskState
from thermos.model import ProcessSpec, TaskSpec

SPEC = TaskSpec(name="t", processes=(ProcessSpec(name="a", cmdline="x"), ProcessSpec(name="b", cmdline="y")))


def run(process: str, state: ProcessState = ProcessState.FAILED, **more: object) -> ProcessRecord:
    last = Run(process=process, number=0, nonce="", offset=0, state=state, **more)  # type: ignore[arg-type]
    return ProcessRecord(name=process, total=1, runs={0: last})


def task(state: TaskState | None, reason: str = "", *processes: ProcessRecord) -> TaskRecord:
    return TaskRecord(state=state, reason=reason, processes={p.name: p for p in processes})


def words(record: TaskRecord, *lines: str) -> tuple[MesosState, str]:
    return last_words(SPEC, record, lambda _: list(lines))


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (task(TaskState.SUCCESS), (MesosState.FINISHED, "Task finished.")),
        (task(TaskState.SUCCESS, "all went well"), (MesosState.FINISHED, "Task finished.")),
        (task(TaskState.KILLED, "killed"), (MesosState.KILLED, "Task killed.")),
        (task(TaskState.KILLED, "asked by me."), (MesosState.KILLED, "Task killed. asked by me.")),
        (task(TaskState.LOST), (MesosState.LOST, "Task lost.")),
        (task(None), (MesosState.LOST, "Task checkpoint could not be read.")),
        (task(TaskState.ACTIVE), (MesosState.LOST, "Task checkpoint could not be read.")),
        (
            task(TaskState.FAILED, "1 failed process", run("b", code=3)),
            (MesosState.FAILED, "Task failed. Process 'b' failed: exit code 3"),
        ),
        (
            task(TaskState.FAILED, "", run("a", ProcessState.KILLED, signal=9), run("b", code=1)),
            (MesosState.FAILED, "Task failed. Process 'a' failed: killed by SIGKILL (signal 9) (1 more failed)"),
        ),
        (
            task(TaskState.FAILED, "", run("a", stage="cwd", errno=2)),
            (MesosState.FAILED, "Task failed. Process 'a' failed: could not start (cwd: No such file or directory)"),
        ),
    ],
)
def test_what_is_said(record: TaskRecord, expected: tuple[MesosState, str]) -> None:
    assert words(record) == expected


def test_the_last_error_line_is_told() -> None:
    record = task(TaskState.FAILED, "", run("a", code=1))
    assert words(record, "first", "ImportError: no flask")[1].endswith("exit code 1: ImportError: no flask")


def test_a_message_is_bounded() -> None:
    record = task(TaskState.FAILED, "", run("a", code=1))
    assert len(words(record, "x" * 100_000)[1]) < 300
    assert len(words(task(TaskState.KILLED, "y" * 100_000))[1]) == MAX_MESSAGE
