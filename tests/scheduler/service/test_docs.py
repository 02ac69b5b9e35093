"""docs/scheduler.md tells the states, refusals and reasons that there are."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from scheduler.core import explain
from scheduler.core.answers import AnswerRules
from scheduler.core.bounds import BOUNDS, KEY_BYTES
from scheduler.core.resources import ResourceType
from scheduler.core.states import ScheduleStatus
from scheduler.core.transitions import TABLE
from scheduler.core.validation import Rules, instance_count_text
from scheduler.service import jobs
from scheduler.service.refusals import RefusalCode, already_exists, job_updating
from tests.scheduler.core.making import JOB

ROOT = Path(__file__).parent.parent.parent.parent
TEXT = (ROOT / "docs" / "scheduler.md").read_text()
UNSTORED = {ScheduleStatus.INIT, ScheduleStatus.DELETED}


def states_script() -> ModuleType:
    loader = SourceFileLoader("scheduler_states", str(ROOT / "scripts" / "scheduler-states"))
    spec = importlib.util.spec_from_loader("scheduler_states", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_table_of_states_is_the_schedulers() -> None:
    script = states_script()
    assert script.with_table(TEXT) == TEXT, "run scripts/scheduler-states"
    assert script.table().count(" · ") == len(TABLE) - len({before for before, _ in TABLE})


def test_every_state_is_explained() -> None:
    told = {line.split("|")[1].strip() for line in TEXT.splitlines() if line.startswith("| ")}
    assert {str(status) for status in set(ScheduleStatus) - UNSTORED} <= told


@pytest.mark.parametrize(
    "line",
    [
        str(already_exists(JOB)),
        str(job_updating()),
        instance_count_text(Rules()),
        jobs.NO_CRON,
        jobs.NO_CRON_INSTANCES,
        jobs.NOT_ACTIVE,
        jobs.NOT_ALL_ACTIVE,
        jobs.NOTHING_TO_KILL,
        explain.RESERVED,
        explain.NO_EXECUTOR,
        explain.NO_OFFERS.partition(":")[0],
    ],
)
def test_what_people_read_is_explained(line: str) -> None:
    assert line in TEXT


def test_codes_and_numbers() -> None:
    assert {code for code in RefusalCode if code not in TEXT} == {RefusalCode.NOT_ALLOWED}  # of users, told elsewhere
    for number in (KEY_BYTES, BOUNDS.executor_data // 1024, BOUNDS.name, BOUNDS.text, BOUNDS.message, BOUNDS.values):
        assert f" {number}" in TEXT
    assert f"{AnswerRules().most:,}" in TEXT and f"{AnswerRules().most_bytes >> 20} MiB" in TEXT
    for kind in ResourceType:
        assert kind.label in TEXT
