"""All problems at once, each with its object, path and place."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from config.core.problem import Place, Problem, Severity, is_error, render_problem
from config.dsl import (
    Boolean,
    Choice,
    Default,
    Integer,
    List,
    Map,
    PositiveInteger,
    Ref,
    Required,
    String,
    Struct,
    resolve,
    tracking,
    unbound_problems,
)


class Resources(Struct):
    cpu = Required(PositiveInteger)


class Process(Struct):
    name = Required(String)
    cmdline = Required(String)
    daemon = Default(Boolean, False)


class Task(Struct):
    name = Default(String, "{{processes[0].name}}")
    processes = List(Process)
    resources = Required(Resources)


class Job(Struct):
    name = Default(String, "{{task.name}}")
    task = Required(Task)
    instances = Default(Integer, 1)
    limits = Map(String, Integer)


def broken() -> Any:
    return Job(
        task=Task(
            processes=[Process(name="web", cmdline="{{ x }}"), Process(name="{{which}}", daemon="maybe")],
            resources={"cpu": -1},
        ),
        instances="{{n}}",
        limits={"a": "b"},
    ).bind(which="two")


WANTED = [
    ("task.processes[0].cmdline", "`{{ x }}` has blanks"),
    ("task.processes[1].cmdline", "Process `two` needs `cmdline`, which is not set"),
    ("task.processes[1].daemon", "'maybe' is not a boolean"),
    ("task.resources.cpu", "must be at least 1, got -1"),
    ("instances", "is to be an integer, but `{{n}}` is not bound: bind it (`--bind n=…`)"),
    ("limits[a]", "'b' is not an integer"),
]


def test_every_problem_is_found_in_one_pass() -> None:
    problems = broken().problems()
    assert [problem.field for problem in problems] == [field for field, _ in WANTED]
    for problem, (_, text) in zip(problems, WANTED, strict=True):
        assert problem.text.startswith(text)
        assert problem.object == "Job `web`"
        assert problem.severity is Severity.ERROR
        assert problem.place is None


def test_resolve_gives_data_refs_and_problems_together() -> None:
    data, unbound, problems = resolve(broken())
    assert data["task"]["processes"][1] == {"name": "two", "daemon": "maybe"}
    assert data["instances"] == "{{n}}"
    assert unbound == [Ref.from_address("n")]
    assert problems == broken().problems()


def test_a_good_object_has_none() -> None:
    job = Job(task=Task(processes=[Process(name="a", cmdline="{{thermos.ports[x]}}")], resources={"cpu": 1}))
    assert job.problems() == []
    assert job.resolve().unbound == [Ref.from_address("thermos.ports[x]")]
    assert isinstance(job.resolve().data["task"]["processes"], list)


def test_places_are_those_of_the_innermost_object() -> None:
    text = (
        "web = Process(name='web')\n"
        "other = web(\n    cmdline='x', daemon='maybe')\n"
        "task = Task(\n    processes=[\n        web,\n        other,\n    ],\n)\n"
        "job = Job(task=task).bind(x=1)\n"
    )
    names: dict[str, Any] = {"Process": Process, "Task": Task, "Job": Job}
    with tracking():
        exec(compile(text, "www.aurora", "exec"), names)
    lines = {problem.field: problem.place and problem.place.line for problem in names["job"].problems()}
    assert lines == {"task.processes[0].cmdline": 1, "task.processes[1].daemon": 2, "task.resources": 4}
    assert {problem.place.file for problem in names["job"].problems() if problem.place} == {"www.aurora"}
    again = pickle.loads(pickle.dumps(names["job"]))
    assert again.problems() == names["job"].problems()


def test_a_mark_costs_no_line_lookup_and_only_while_tracking() -> None:
    untracked = Process(name="a")
    with tracking():
        with tracking():
            inner = Process(name="a")
        outer = Process(name="a")
    after = Process(name="a")
    assert (untracked._place(), after._place()) == (None, None)
    assert isinstance(inner._place(), Place)
    assert inner._place().file == __file__
    assert outer._place().line == inner._place().line + 1


def test_tracking_ends_with_an_exception() -> None:
    with pytest.raises(ZeroDivisionError), tracking():
        1 / 0
    assert Process(name="a")._place() is None


def test_unbound_problems_name_each_value_that_may_not_stay_open() -> None:
    job = Job(
        name="j",
        task=Task(
            processes=[Process(name="a", cmdline="{{x}} {{mesos.instance}}"), Process(name="{{x}}", cmdline="{{x}}")],
            resources={"cpu": 1},
        ),
        instances="{{x}}",
    )
    problems = unbound_problems(job, lambda ref: ref.address() == "mesos.instance")
    assert [problem.field for problem in problems] == [
        "task.processes[0].cmdline",
        "task.processes[1].name",
        "task.processes[1].cmdline",
    ]
    assert problems[0].text == ("`{{x}}` is not bound: bind it (`--bind x=…`), or write `{{&x}}` for a literal `{{x}}`")
    assert problems[0].object == "Job `j`"


def test_an_object_whose_own_name_is_broken_is_still_named() -> None:
    assert Process(name="{{name}}").problems()[0].object == "Process `{{name}}`"
    assert Process(cmdline="x").problems()[0].object == "Process"


def test_a_long_wrong_value_is_shown_in_part() -> None:
    (problem,) = Integer("x" * 10_000).problems()
    assert problem.text.endswith("… is not an integer")
    assert len(problem.text) < 200


def test_warnings_do_not_fail_the_check() -> None:
    process = Process(name="a", cmdline="{thermos.task_id}")
    (problem,) = process.problems()
    assert not is_error(problem)
    assert process.check().ok()
    either = Choice([String])("{thermos.task_id}")
    assert [is_error(found) for found in either.problems()] == [False]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("bad", "Job `a`", "task.name", Place("x.aurora", 3)), "x.aurora:3: Job `a`.task.name: bad"),
        (Problem("bad", "Job `a`", "task.name"), "Job `a`.task.name: bad"),
        (Problem("bad", "Job `a`"), "Job `a`: bad"),
        (Problem("bad", "", "task.name"), "task.name: bad"),
        (Problem("bad", "ProcessList", "[0].name"), "ProcessList[0].name: bad"),
        (Problem("bad"), "bad"),
        (Problem("two\nlines", place=Place("x", 1)), "x:1: two lines"),
        (Problem("odd", "Job", severity=Severity.WARNING), "Job: warning: odd"),
    ],
)
def test_a_problem_is_one_line(problem: Problem, line: str) -> None:
    assert render_problem(problem) == line


def test_every_fault_of_one_text_is_told() -> None:
    task = Task(
        name="{{me}} {{ a }} {{&b}} {{me}} {{gone}} {{.ID}}",
        processes=[Process(name="x", cmdline="{{ a }}{{ a }}{{b c}}", daemon="{{on}}{{ a }}")],
        resources=Resources(cpu=1),
    ).bind(me="{{me}}")
    told = [(problem.field, problem.text.split(": ")[0]) for problem in task.problems()]
    assert told == [
        ("name", "its references go round in a circle, or on for too long"),
        ("name", "`{{ a }}` has blanks"),
        ("name", "`{{.ID}}` is not bound"),
        ("processes[0].cmdline", "`{{ a }}` has blanks"),
        ("processes[0].cmdline", "`{{b c}}` is not a reference"),
        ("processes[0].daemon", "`{{ a }}` has blanks"),
        ("processes[0].daemon", "is to be a boolean, but `{{on}}` is not bound"),
    ]
    assert [problem.field for problem in unbound_problems(task, lambda ref: False)] == ["name"]  # {{gone}}


def test_a_reference_to_what_goes_round_in_a_circle_is_not_called_unbound() -> None:
    text = "{{task.processes[0].cmdline}}{{cmdline}}{{task.resources.cpu}}{{gone}}"
    job = Job(task=Task(name="t", processes=[Process(name="p", cmdline=text)], resources=Resources(cpu="many")))
    assert [(problem.field, problem.text[:14]) for problem in job.problems()] == [
        ("task.processes[0].cmdline", "its references"),
        ("task.resources.cpu", "'many' is not "),
    ]
    assert [problem.text[:10] for problem in unbound_problems(job, lambda ref: False)] == ["`{{gone}}`"]


def test_a_wrong_value_in_a_text_does_not_hide_its_other_faults() -> None:
    task = Task(
        name="{{n}} {{ a }} {{gone}}",
        processes=[Process(name="p", cmdline="x", daemon="{{on}}{{ b }}")],
        resources=Resources(cpu=1),
    ).bind(n=Integer("many"), on="maybe")
    assert [(problem.field, problem.text.split(":")[0]) for problem in task.problems()] == [
        ("name", "`{{n}} {{ a }} {{gone}}` gives a wrong value"),
        ("name", "`{{ a }}` has blanks"),
        ("processes[0].daemon", "`{{ b }}` has blanks"),
    ]
    assert [problem.text[:10] for problem in unbound_problems(task, lambda ref: False)] == ["`{{gone}}`"]
