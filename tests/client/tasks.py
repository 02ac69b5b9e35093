"""Tasks for tests of what is shown: a spec, its records, and the view of both."""

from __future__ import annotations

from collections.abc import Sequence

from client.thermos.view import View
from tests.thermos.core import samples
from thermos.clock import Now
from thermos.core.fold import TaskRecord, fold
from thermos.core.lifecycle import Lifecycle
from thermos.core.records import AnyRecord
from thermos.core.states import TaskState
from thermos.model import ProcessSpec, TaskSpec


def spec(*names: str, order: Sequence[Sequence[str]] = (), **fields: object) -> TaskSpec:
    """A task of plain processes; `final_…`, `daemon_…` and `ephemeral_…` in a name make it so."""
    processes = tuple(
        ProcessSpec(
            name=name,
            cmdline="true",
            final=name.startswith("final"),
            daemon=name.startswith("daemon"),
            ephemeral=name.startswith("ephemeral"),
        )
        for name in names
    )
    return TaskSpec(name="t", processes=processes, order=tuple(map(tuple, order)), **fields)  # type: ignore[arg-type]


class Played:
    """A task with records played into fold and plan."""

    def __init__(self, task_spec: TaskSpec, *records: AnyRecord) -> None:
        self.spec = task_spec
        self.task = TaskRecord()
        self.life = Lifecycle(task_spec)
        self.view = View(task_spec, self.life.planner_of)
        self.play(samples.header(), samples.owner(), samples.status(TaskState.ACTIVE), *records)

    def play(self, *records: AnyRecord) -> None:
        for record in records:
            self.task, applied = fold(self.task, record)
            if applied.run is not None:
                self.life.update(self.task, applied.run)

    def note(self, process: str, at: float = 14.0) -> str:
        return self.row(process, at)[1]

    def row(self, process: str, at: float = 14.0) -> tuple[str, str]:
        """(doing, note)"""
        row = next(r for r in self.view.rows(self.task, Now(at, at)) if r.process == process)
        return row.doing, row.note
