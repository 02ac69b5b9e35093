"""Configs as found in the wild load, have no problems, and become exactly the JSON in `golden/`.

After a change that is meant, run with `UPDATE_GOLDEN=1` and read the diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from config.check import check
from config.core.compile import compile_task
from config.core.problem import render_problem
from config.core.rules import check_job
from config.core.taskconfig import job_configuration, update_request
from config.loader import LoadedJobs, load_jobs, load_tasks

GOOD = Path(__file__).parent / "good"
GOLDEN = Path(__file__).parent / "golden"
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "webserver.aurora"
CONFIGS = sorted(p.name for p in GOOD.iterdir() if p.suffix in (".aurora", ".json"))


def load(name: str) -> LoadedJobs:
    path = EXAMPLE if name == EXAMPLE.name else GOOD / name
    return load_jobs(path, json=name.endswith(".json"))


def wire(loaded: LoadedJobs) -> list[dict[str, Any]]:
    """What a client sends for each job, the payload unpacked so that a diff can be read."""
    found = []
    for job in loaded.jobs:
        data = check_job(job).data
        request = update_request(data, user="me", only_instances=[0, 1, 2, 5], metadata=[("id", "1")])
        body = {"job": job_configuration(data, user="me"), "settings": request["settings"]}
        executor = body["job"]["taskConfig"]["executorConfig"]
        if executor["name"] == "AuroraExecutor":
            executor["data"] = json.loads(executor["data"])
        found.append(body)
    return found


@pytest.mark.parametrize("name", [*CONFIGS, EXAMPLE.name])
def test_a_good_config_has_no_problems_and_this_json(name: str) -> None:
    loaded = load(name)
    assert [render_problem(problem) for problem in check(loaded)] == []
    golden = GOLDEN / f"{name.replace('.', '_')}.json"
    text = json.dumps(wire(loaded), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert json.loads(text) == json.loads(golden.read_text())


def test_every_golden_file_has_its_config() -> None:
    assert {p.name for p in GOLDEN.iterdir()} == {f"{n.replace('.', '_')}.json" for n in [*CONFIGS, EXAMPLE.name]}


def test_the_same_file_gives_the_same_bytes() -> None:
    first, second = (json.dumps(wire(load("combine.aurora"))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("path", sorted(EXAMPLE.parent.glob("*.thermos")), ids=lambda path: path.name)
def test_the_examples_for_one_host_compile(path: Path) -> None:
    tasks = load_tasks(path)
    assert check(tasks) == []
    spec, problems = compile_task(tasks.pick(), ports={}, task_id="t", user="u")
    assert problems == []
    assert spec is not None
    assert spec.processes


def test_hooks_are_kept() -> None:
    (hook,) = load("hooks.aurora").hooks
    assert hook.pre_kill_job(None, "key") is True
