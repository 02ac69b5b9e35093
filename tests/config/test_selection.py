"""Picking a job or a task, and what is said if that is not possible."""

import io

import pytest

from config.loader import load_jobs, load_tasks
from config.selection import name_of
from thermos.errors import ConfigError

THREE = """
job = Job(cluster='c', role='r', task=SimpleTask('t', 'true'))
jobs = [job(name='web', environment='prod'), job(name='web', environment='devel'), job(name='db', environment='prod')]
"""


def test_by_parts() -> None:
    loaded = load_jobs(io.StringIO(THREE))
    assert loaded.pick("db") is loaded.jobs[2]
    assert loaded.pick("web", environment="devel") is loaded.jobs[1]
    assert loaded.pick(cluster="c", role="r", environment="prod", name="web") is loaded.jobs[0]


def test_the_only_one_needs_no_name() -> None:
    loaded = load_jobs(io.StringIO(THREE + "jobs = jobs[:1]\n"))
    assert loaded.pick() is loaded.jobs[0]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({}, "Configuration has multiple jobs but no job name specified!"),
        ({"name": "web"}, "Multiple jobs match, please disambiguate by specifying a job key."),
        ({"name": "wob", "cluster": "c", "role": "r", "environment": "prod"}, "did you mean c/r/prod/web?"),
        ({"name": "none"}, "Could not find job */*/*/none"),
    ],
)
def test_errors_list_the_candidates(wanted: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_jobs(io.StringIO(THREE)).pick(**wanted)
    text = str(caught.value)
    assert message in text
    assert "Candidates are:\n  c/r/" in text


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"name": "dbb"}, "; did you mean c/r/prod/db?"),
        ({"name": "wbe", "environment": "devel"}, "; did you mean c/r/devel/web?"),
        ({"name": "web", "environment": "prood"}, "; did you mean c/r/prod/web?"),
        ({"name": "cache", "cluster": "c", "role": "r", "environment": "prod"}, ""),
        ({"name": "web", "cluster": "c", "role": "r", "environment": "test"}, ""),
    ],
)
def test_only_near_names_are_offered(wanted: dict[str, str], meant: str) -> None:
    path = "/".join(wanted.get(field, "*") for field in ("cluster", "role", "environment", "name"))
    with pytest.raises(ConfigError) as caught:
        load_jobs(io.StringIO(THREE)).pick(**wanted)
    assert str(caught.value).split("\n")[0] == f"Could not find job {path}{meant}"


def test_a_job_without_environment_and_with_an_endless_name() -> None:
    loaded = load_jobs(io.StringIO("jobs = [Job(cluster='c', role='r', name='{{name}}'), Job(name='b')]\n"))
    with pytest.raises(ConfigError, match=r"\n  c/r/\{MISSING\}/\{\{name\}\}\n  \{MISSING\}/"):
        loaded.pick("x")


def test_no_jobs() -> None:
    with pytest.raises(ConfigError, match="No job defined in this config!"):
        load_jobs(io.StringIO("jobs = []")).pick()


def test_tasks() -> None:
    two = load_tasks(io.StringIO("export(SimpleTask('hello', 'true'))\nexport(SimpleTask('world', 'true'))\n"))
    assert two.pick("world") is two.tasks[1]
    for name, message in [
        (None, "Multiple tasks in config but no task name specified! Choose one with --task: hello, world"),
        ("helo", "Could not find task helo! did you mean hello?"),
        ("xyz", "Could not find task xyz! it has hello, world"),
    ]:
        with pytest.raises(ConfigError) as caught:
            two.pick(name)
        assert str(caught.value) == message
    twins = load_tasks(io.StringIO("export(SimpleTask('a', 'true'))\nexport(SimpleTask('a', 'true'))\n"))
    with pytest.raises(ConfigError, match="2 tasks of the config are called a"):
        twins.pick("a")
    with pytest.raises(ConfigError, match="No tasks specified!"):
        load_tasks(io.StringIO("")).pick()


def test_the_name_of_anything_can_be_shown() -> None:
    loaded = load_tasks(io.StringIO("export(Task(processes=[Process(name='{{name}}')]))\nexport(Task())\n"))
    assert [name_of(task) for task in loaded.tasks] == ["{{processes[0].name}}", "{{processes[0].name}}"]
