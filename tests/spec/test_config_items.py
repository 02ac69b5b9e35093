"""Gaps in the tests of the config language: items 29, 40, 43, 44 and 91 of the checklist (spec/thermos.md §6.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from config.core.compile import compile_task
from config.core.rules import check_job
from config.core.taskconfig import job_configuration, task_config
from config.loader import load_jobs
from config.schema import GB, MB, Job, Logger, Metadata, Process, Resources, RotatePolicy, Task
from thermos.model import LoggerSpec, LogMode


def job(**fields: Any) -> Any:
    task = Task(processes=[Process(name="a", cmdline="true")], resources=Resources(cpu=1, ram=1 * MB, disk=1 * MB))
    named = {"role": "www", "cluster": "rz1", "environment": "prod", "name": "web", "task": task, **fields}
    return Job(**named)


def sized(**resources: Any) -> Any:
    full = {"cpu": 1, "ram": 1 * MB, "disk": 1 * MB, **resources}
    return job(task=Task(processes=[Process(name="a", cmdline="true")], resources=Resources(**full)))


@pytest.mark.parametrize("name", ["ram", "disk"])
def test_40_a_size_counts_in_whole_megabytes(name: str) -> None:
    assert check_job(sized(**{name: MB})).problems == []
    (problem,) = check_job(sized(**{name: MB - 1})).problems
    assert problem.field == "task.resources"
    assert f"must all be positive: cpu:1 ramMb:{int(name != 'ram')} diskMb:{int(name != 'disk')}" in problem.text


@pytest.mark.parametrize("name", ["cpu", "ram", "disk"])
def test_40_nothing_of_a_resource_is_refused(name: str) -> None:
    assert not check_job(sized(**{name: 0})).ok


@pytest.mark.parametrize("policy", ["KILL_EXISTING", "CANCEL_NEW", "kill_existing", "Cancel_New"])
def test_43_a_policy_of_collisions_is_sent_in_capitals(policy: str) -> None:
    checked = check_job(job(cron_schedule="0 0 * * *", cron_collision_policy=policy))
    assert checked.problems == []
    assert job_configuration(checked.data, user="me")["cronCollisionPolicy"] == policy.upper()


@pytest.mark.parametrize("policy", ["RUN_OVERLAP", "KILL", "", " KILL_EXISTING"])
def test_43_other_policies_are_refused(policy: str) -> None:
    checked = check_job(job(cron_schedule="0 0 * * *", cron_collision_policy=policy))
    assert [problem.field for problem in checked.problems] == ["cron_collision_policy"]
    assert not checked.ok


def test_44_equal_metadata_are_sent_once_and_other_values_of_a_key_are_kept() -> None:
    twice = [Metadata(key="team", value=value) for value in ("a", "b", "a")]
    checked = check_job(job(metadata=[*twice, Metadata(key="tier", value="a")]))
    assert checked.ok
    sent = task_config(checked.data, user="me")["metadata"]
    pairs = [(entry["key"], entry["value"]) for entry in sent]
    assert sorted(pairs) == [("team", "a"), ("team", "b"), ("tier", "a")]


@pytest.mark.parametrize(
    ("logger", "size", "backups"),
    [
        (Logger(mode="rotate"), 100 * MB, 5),
        (Logger(mode="rotate", rotate=RotatePolicy()), 100 * MB, 5),
        (Logger(mode="rotate", rotate=RotatePolicy(log_size=GB)), GB, 5),
        (Logger(mode="rotate", rotate=RotatePolicy(backups=1)), 100 * MB, 1),
    ],
)
def test_91_who_says_rotate_and_no_more_gets_five_backups_of_100_mib(logger: Any, size: int, backups: int) -> None:
    spec, problems = compile_task(Task(processes=[Process(name="a", cmdline="b", logger=logger)]), ports={})
    assert problems == []
    assert spec is not None
    assert spec.processes[0].logger == LoggerSpec(mode=LogMode.ROTATE, log_size=size, backups=backups)


def test_29_captured_texts_are_enough_whatever_stands_on_disk_now(tmp_path: Path) -> None:
    """They are read again in place of files that have changed meanwhile."""
    text = "jobs = [Job(cluster='c', role='r', environment='prod', name=NAME, task=SimpleTask('t', 'true'))]\n"
    top, part = tmp_path / "top.aurora", tmp_path / "part.aurora"
    top.write_text("include('part.aurora')\n" + text)
    part.write_text("NAME = 'then'\n")
    captured = json.loads(json.dumps(dict(load_jobs(top).loadables)))
    part.write_text("NAME = 'now'\n")
    assert str(load_jobs(top).jobs[0].name()) == "now"
    assert str(load_jobs(captured).jobs[0].name()) == "then"
