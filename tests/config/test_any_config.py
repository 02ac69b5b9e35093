"""Whatever a job is made of, checking it gives problems and never an exception; what has none can be sent and run."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import schema
from config.core.assigned import compile_assigned
from config.core.compile import compile_task
from config.core.problem import render_problem
from config.core.rules import check_job, check_task
from config.core.taskconfig import assigned_task, job_configuration, update_request
from config.dsl import CoercionError

PLAIN = ["a", "b", "c", "a b", "", "limit:1", "limit:x", "!a", "0 0 * * *", "/x", "\ud800", "\0"]
REFS = ["{{a}}", "{{name}}", "{{mesos.instance}}", "{{thermos.ports[http]}}", "{{thermos.ports.x}}", "{{super.name}}"]
ODDITIES = ["{{ a }}", "{{&.ID}}", "{{processes[0].name}}", "{{a", "}}", "{{{a}}}", "{thermos.task_id}", "{{&a}}"]
TEXTS = st.sampled_from(PLAIN * 2 + REFS + ODDITIES)
NUMBERS = st.one_of(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([0, -1, True, 1.5, 0.0, float("nan"), float("inf"), 10**30, 2**31]),
)
ODD = st.one_of(TEXTS, NUMBERS, st.none(), st.just([]), st.just({}), st.just({"what": 1}))


@st.composite
def values(draw: Any, kind: Any, depth: int) -> Any:
    """Nearly always what a field of this type takes, sometimes something else."""
    return draw(ODD if draw(st.integers(0, 39)) == 0 else fitting(kind, depth))


def fitting(kind: Any, depth: int) -> st.SearchStrategy[Any]:
    if hasattr(kind, "TYPEMAP"):
        return objects(kind, depth) if depth else st.just({})
    if hasattr(kind, "CHOICES"):
        return st.one_of([fitting(option, depth) for option in kind.CHOICES])
    if hasattr(kind, "KEYTYPE"):
        return st.dictionaries(TEXTS, TEXTS, max_size=2)
    if hasattr(kind, "TYPE"):
        return st.lists(values(kind.TYPE, depth - 1), max_size=3)
    if hasattr(kind, "VALUES"):
        return st.sampled_from(kind.VALUES)
    return TEXTS if kind is schema.String else NUMBERS


@st.composite
def objects(draw: Any, kind: Any, depth: int = 4) -> dict[str, Any]:
    """Fields of a struct; required ones nearly always."""
    found = {}
    for name, signature in kind.TYPEMAP.items():
        if draw(st.integers(0, 9)) < (9 if signature.required else 3):
            found[name] = draw(values(signature.klazz, depth - 1))
    return found


def made(kind: Any, fields: dict[str, Any]) -> Any:
    """The object, or None if it is refused when it is made (which the loader tells)."""
    try:
        return kind(fields)
    except (ValueError, AttributeError):
        return None


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(objects(schema.Job))
def test_any_job(fields: dict[str, Any]) -> None:
    job = made(schema.Job, fields)
    if job is None:
        return
    checked = check_job(job)
    assert all("\n" not in render_problem(problem) for problem in checked.problems)
    if checked.ok:
        send_and_run(checked.data)


@QUICK
@given(objects(schema.Task))
def test_any_task(fields: dict[str, Any]) -> None:
    task = made(schema.Task, fields)
    if task is None:
        return
    checked = check_task(task)
    assert all("\n" not in render_problem(problem) for problem in checked.problems)
    spec, problems = compile_task(task, ports={"http": 1}, task_id="t", user="u")
    assert (spec is None) == any(problem.severity == "error" for problem in problems)
    bound_later = any("is to be" in problem.text for problem in checked.problems)  # a number that only a host knows
    assert spec is None or checked.ok or bound_later, "what runs must pass the check"


def send_and_run(data: dict[str, Any]) -> None:
    """The JSON can be written, and an executor can run what it says."""
    configuration = json.loads(json.dumps(job_configuration(data, user="me")))
    json.dumps(update_request(data, user="me"))
    config = configuration["taskConfig"]
    if config["executorConfig"]["name"] != "AuroraExecutor":
        return
    ports = {port: 31000 + number for number, port in enumerate(named_ports(config))}
    assigned = assigned_task(config, task_id="t", instance=0, agent_id="a", hostname="h", ports=ports)
    assert compile_assigned(assigned).spec is not None


def named_ports(config: dict[str, Any]) -> list[str]:
    return [resource["namedPort"] for resource in config["resources"] if "namedPort" in resource]


VALID: dict[str, Any] = {
    "role": "www",
    "cluster": "c",
    "environment": "devel",
    "name": "web",
    "task": {
        "processes": [{"name": "a", "cmdline": "x {{thermos.ports[http]}}"}],
        "resources": {"cpu": 1, "ram": 2**21, "disk": 2**21},
    },
}


@QUICK
@given(st.data())
def test_a_valid_job_with_one_odd_field(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(schema.Job.TYPEMAP)))
    job = made(schema.Job, {**VALID, name: data.draw(values(schema.Job.TYPEMAP[name].klazz, 3))})
    if job is None:
        return
    checked = check_job(job)
    try:
        assert job.check().ok() or not checked.ok, "what the language refuses has a problem"
    except CoercionError:
        assert not checked.ok
    if checked.ok:
        send_and_run(checked.data)
