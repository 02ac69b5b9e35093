"""Loading: sources, includes, captured texts, bindings, what imports reach, what is printed."""

import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from config.check import check, raise_errors
from config.core.compile import compile_task
from config.core.problem import Place, render_problem
from config.loader import LoadedJobs, load_jobs, load_tasks
from config.schema import Process, Task
from thermos.errors import ConfigError, UserError

JOB = "jobs = [Job(cluster='c', role='r', environment='devel', name='{{n}}', task=SimpleTask('t', 'true'))]\n"


def write(folder: Path, **texts: str) -> Path:
    """Files NAME.aurora with these texts; the path of the first."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.aurora"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / f"{next(iter(texts))}.aurora"


def names(loaded: LoadedJobs) -> list[str]:
    return [str(job.name()) for job in loaded.jobs]


def test_a_path_an_open_file_and_bytes_are_sources(tmp_path: Path) -> None:
    path = write(tmp_path, web=JOB)
    assert names(load_jobs(path)) == names(load_jobs(str(path))) == ["{{n}}"]
    with path.open() as text, path.open("rb") as binary:
        assert names(load_jobs(text)) == names(load_jobs(binary)) == ["{{n}}"]
    assert names(load_jobs(io.StringIO(JOB))) == ["{{n}}"]
    assert load_jobs(io.StringIO(JOB)).source == "<config>"


def test_binds_reach_all_jobs_and_the_last_one_wins(tmp_path: Path) -> None:
    path = write(tmp_path, web=JOB.replace("]\n", ".bind(n='from_file')]\n"))
    assert names(load_jobs(path)) == ["from_file"]
    assert names(load_jobs(path, binds=["n=a", "n=b=c"])) == ["b=c"]


def test_a_bind_overrides_a_field_of_a_bound_struct(tmp_path: Path) -> None:
    profile = "class P(Struct):\n  level = Default(Integer, 1)\n"
    job = JOB.replace("task=", "priority='{{profile.level}}', task=").replace("]\n", ".bind(profile=P())]\n")
    path = write(tmp_path, web=profile + job)
    assert load_jobs(path).jobs[0].priority().get() == 1
    assert load_jobs(path, binds=["profile.level=3"]).jobs[0].priority().get() == 3
    assert load_jobs(path, binds=["profile.level=0"]).jobs[0].priority().get() == 0


@pytest.mark.parametrize(
    ("bind", "word"),
    [
        ("n", "NAME=VALUE"),
        ("", "NAME=VALUE"),
        ("=x", "no name"),
        ("a b=x", "no name"),
        ("{{n}}=x", "no name"),
    ],
)
def test_bad_binds(tmp_path: Path, bind: str, word: str) -> None:
    with pytest.raises(UserError, match=word) as caught:
        load_jobs(write(tmp_path, web=JOB), binds=[bind])
    assert "\n" not in str(caught.value)


def test_includes_are_relative_to_the_includer_and_the_last_assignment_wins(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        top="x = 1\ninclude('sub/one.aurora')\n"
        + JOB.replace("{{n}}", "job_%s").replace("task=", "contact=str(x), task="),
        sub__one="x = 2\ninclude('deep/two.aurora')\n",
        sub__deep__two="x = x + 5\ninclude('../three.aurora')\n",
        sub__three="y = x\n",
    )
    assert str(load_jobs(path).jobs[0].contact()) == "7"


def test_a_file_may_be_included_twice(tmp_path: Path) -> None:
    text = "n = 0\ninclude('one.aurora')\ninclude('one.aurora')\nassert n == 2\njobs = []\n"
    assert load_jobs(write(tmp_path, top=text, one="n += 1\n")).jobs == ()


def test_file_is_the_running_file(tmp_path: Path) -> None:
    text = "include('one.aurora')\nassert inner == 'one' and 'top' in __file__\njobs = []\n"
    path = write(tmp_path, top=text, one="inner = 'one' if 'one' in __file__ else __file__\n")
    loaded = load_jobs(path)
    assert [Path(key.split("\0")[1]).name for key in loaded.loadables] == ["top.aurora", "one.aurora"]


def test_an_open_file_includes_nothing() -> None:
    with pytest.raises(ConfigError, match=r"<config>:1: You may not include\(\) anything from filelike objects."):
        load_jobs(io.StringIO("include('x.aurora')\n"))


def test_captured_texts_load_again_without_the_files(tmp_path: Path) -> None:
    path = write(
        tmp_path, top="include('sub/one.aurora')\n" + JOB, sub__one="include('two.aurora')\n", sub__two="z = 1\n"
    )
    captured = json.loads(json.dumps(dict(load_jobs(path).loadables)))
    for file in tmp_path.rglob("*.aurora"):
        file.unlink()
    again = load_jobs(captured)
    assert names(again) == ["{{n}}"]
    assert dict(again.loadables) == captured


def test_a_captured_text_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"a\.aurora:1: Could not load resource b\.aurora: it was not captured"):
        load_jobs({"\0a.aurora": "include('b.aurora')\n"})
    with pytest.raises(ConfigError, match="no first file"):
        load_jobs({})


def test_a_changed_include_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, top="include('one.aurora')\n" + JOB.replace("'{{n}}'", "NAME"), one="NAME = 'before'\n")
    assert names(load_jobs(path)) == ["before"]
    write(tmp_path, one="NAME = 'after'\n")
    assert names(load_jobs(path)) == ["after"]


def test_missing_files_and_directories(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Could not load resource .*nothing\.aurora: there is no such file"):
        load_jobs(tmp_path / "nothing.aurora")
    with pytest.raises(ConfigError, match="is a directory"):
        load_jobs(tmp_path)
    with pytest.raises(ConfigError, match="Not a directory"):
        load_jobs(write(tmp_path, web=JOB) / "inside")
    with pytest.raises(ConfigError, match="null"):
        load_jobs("a\0b")


def test_a_coding_line_is_honoured(tmp_path: Path) -> None:
    path = tmp_path / "latin.aurora"
    path.write_bytes(b"# -*- coding: latin-1 -*-\n" + JOB.replace("{{n}}", "Stra\xdfe").encode("latin-1"))
    assert names(load_jobs(path)) == ["Straße"]


IMPORTS = """
import pystachio
from pystachio import *
from pystachio.composite import Struct as OldStruct
from apache.aurora.config.schema.base import *
from apache.thermos.config.schema import Process as OldProcess
from apache.thermos.config.schema_helpers import Tasks as OldTasks
import apache.aurora.config.schema.base as base

assert OldStruct is Struct and OldProcess is Process and OldTasks is Tasks and base.Job is Job
assert pystachio.Integer is Integer
jobs = []
"""


MODERN = """
from __future__ import annotations
import dataclasses, enum, typing

@dataclasses.dataclass(frozen=True)
class Size:
  name: str
  cpu: float = 1.0
  kind: typing.ClassVar[str] = 'x'

class Level(enum.StrEnum):
  LOW = 'low'

assert __name__ == '__config__' and Size.__module__ == '__config__'
job = Job(cluster='c', role='r', environment='devel', task=SimpleTask(Size('small').name, f'run {Level.LOW}'))
jobs = [job]
def later():
  include('x.aurora')
hooks = [later]
"""


def test_a_config_may_be_modern_python(tmp_path: Path) -> None:
    loaded = load_jobs(write(tmp_path, web=MODERN))
    assert names(loaded) == ["small"]
    assert "__config__" not in sys.modules
    with pytest.raises(ConfigError, match="works only while the config is loaded"):
        loaded.hooks[0]()


def test_includes_through_symbolic_links_end(tmp_path: Path) -> None:
    path = write(tmp_path, top="include('again/top.aurora')\n")
    (tmp_path / "again").symlink_to(".")
    with pytest.raises(ConfigError, match=r"include\(\) goes round in a circle"):
        load_jobs(path)


def test_modules_of_old_are_served_only_while_the_file_runs(tmp_path: Path) -> None:
    mine = types.ModuleType("apache")
    sys.modules["apache"] = mine
    before = set(sys.modules)
    try:
        assert load_jobs(write(tmp_path, web=IMPORTS)).jobs == ()
        assert sys.modules["apache"] is mine
    finally:
        del sys.modules["apache"]
    assert {name for name in set(sys.modules) ^ before if name.startswith(("apache.", "pystachio"))} == set()


def test_modules_are_restored_when_the_file_raises(tmp_path: Path) -> None:
    before = set(sys.modules)
    with pytest.raises(ConfigError, match="RuntimeError"):
        load_jobs(write(tmp_path, web="import apache.aurora.config\nraise RuntimeError('x')\n"))
    assert {name for name in set(sys.modules) ^ before if name.startswith("apache")} == set()


def test_import_config_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("NAME = 'mine'\n")
    text = "import config\n" + JOB.replace("'{{n}}'", "config.NAME")
    assert names(load_jobs(write(tmp_path, web=text))) == ["mine"]
    assert "loader" in sys.modules["config.loader"].__name__


PRINTS = """
import os, sys
print('one')
print('two')
sys.stdout.write('three\\n')
sys.stdout.flush()
os.system('echo four')
jobs = []
"""


def test_prints_go_to_stderr_with_one_note(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, web=PRINTS)
    load_jobs(path)
    print("mine again")
    captured = capfd.readouterr()
    assert captured.out == "mine again\n"
    note = f"{path}: prints while it is loaded; its output goes to stderr:\n"
    assert sorted(captured.err.splitlines(True)) == sorted([note, "one\n", "two\n", "three\n", "four\n"])


def test_a_closed_stdout_does_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path, web="print('x', flush=True)\njobs = []\n")
    program = f"import sys; from config.loader import load_jobs; sys.exit(len(load_jobs({str(path)!r}).jobs))"
    command = f'exec {sys.executable} -c "$PROGRAM" >&- 2>&-'
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(["bash", "-c", command], cwd=root, env={**os.environ, "PROGRAM": program})
    assert done.returncode == 0


def test_exported_tasks(tmp_path: Path) -> None:
    text = "export(SimpleTask('a', 'true'))\nexport({'name': 'b', 'processes': [Process(name='x', cmdline='{{v}}')]})\n"
    loaded = load_tasks(write(tmp_path, two=text), binds=["v=1"])
    assert [str(task.name()) for task in loaded.tasks] == ["a", "b"]
    assert check(loaded) == []
    assert str(loaded.pick("b").processes()[0].cmdline()) == "1"


def test_jobs_of_an_aurora_file_can_be_run_as_tasks(tmp_path: Path) -> None:
    loaded = load_tasks(write(tmp_path, web=JOB), binds=["n=web"])
    assert str(loaded.pick("web").task().name()) == "t"


def test_a_json_task(tmp_path: Path) -> None:
    path = tmp_path / "task.json"
    path.write_text('{"name": "j", "processes": [{"name": "a", "cmdline": "true"}]}')
    assert check(load_tasks(path, json=True)) == []
    path.write_text('{"name": "j", "proceses": []}')
    with pytest.raises(
        ConfigError, match=r"task\.json: unknown field `proceses` of Task `j`; did you mean `processes`\?"
    ):
        load_tasks(path, json=True).pick()


def test_a_file_in_which_something_was_refused_has_objects_but_none_can_be_picked(tmp_path: Path) -> None:
    text = "loose = Process(nmae='x', cmdline='true')\n" + JOB.replace("'true'", "'{{ x }}'")
    loaded = load_jobs(write(tmp_path, web=text), binds=["n=web"])
    assert [problem.text[:20] for problem in loaded.refused] == ["unknown field `nmae`"]
    assert names(loaded) == ["web"]
    with pytest.raises(ConfigError) as caught:
        loaded.pick("web")
    first, second = str(caught.value).splitlines()
    assert ":1: unknown field `nmae`" in first
    assert ":2: Job `web`.task.processes[0].cmdline: `{{ x }}` has blanks" in second


def test_what_was_refused_is_told_even_if_the_file_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    path = write(tmp_path, web="a = Process(x=1)\nb = Process(x=1)(y=2)\nfor _ in 'ab': Process(z=3)\nnobody\n")
    with pytest.raises(ConfigError) as caught:
        load_jobs(path)
    told = [line.removeprefix(f"{path}:")[:19] for line in str(caught.value).splitlines()]
    expected = ["1: unknown field `x`", "2: unknown field `x`", "2: unknown field `y`", "3: unknown field `z`"]
    assert told == [line[:19] for line in expected] + ["4: NameError: name '"[:19]]


def test_a_refused_object_does_not_compile_even_if_nobody_looks_at_the_load(tmp_path: Path) -> None:
    text = JOB.replace("jobs =", "made =") + "jobs = [made[0](instnaces=3)]\n"
    job = load_jobs(write(tmp_path, web=text), binds=["n=web"]).jobs[0]
    spec, problems = compile_task(job, ports={}, task_id="t", user="u")
    assert spec is None
    assert ["unknown field `instnaces`" in problem.text for problem in problems] == [True]


def test_constructors_refuse_by_raising_outside_of_a_load(tmp_path: Path) -> None:
    load_jobs(write(tmp_path, web="Process(x=1)\n" + JOB))
    with pytest.raises(AttributeError, match="unknown field `x`"):
        Process(x=1)
    with pytest.raises(ValueError, match=r"Task\.processes\[1\]: Process takes fields"):
        Task(processes=[Process(name="a"), 17])


def test_a_choice_tries_its_alternatives_while_a_file_is_loaded(tmp_path: Path) -> None:
    text = (
        JOB.replace("task=", "container={'image': 'i:1'}, task=")
        + "assert str(jobs[0].container().unwrap().image()) == 'i:1'\n"
    )
    loaded = load_jobs(write(tmp_path, web=text), binds=["n=web"])
    assert loaded.refused == ()
    assert check(loaded) == []


def test_problems_of_json_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps({"jobs": [{"name": "a", "tsak": {}}, {"name": "b", "task": {"resources": 5}}]}))
    loaded = load_jobs(path, json=True)
    problems = check(loaded)
    assert {problem.place for problem in problems} == {Place(str(path))}
    assert [problem.text[:9] for problem in loaded.refused] == ["jobs[0]: ", "jobs[1]: "]
    assert all(render_problem(problem).startswith(f"{path}: ") for problem in problems)


def test_raise_errors_has_a_line_per_error_and_none_for_warnings(tmp_path: Path) -> None:
    text = JOB.replace("role='r'", "role='r r', production=True").replace("name='{{n}}'", "name='n n'")
    problems = check(load_jobs(write(tmp_path, web=text)))
    with pytest.raises(ConfigError) as caught:
        raise_errors(problems)
    assert len(str(caught.value).splitlines()) == 2
    raise_errors(problem for problem in problems if "deprecated" in problem.text)


def test_the_work_grows_with_the_number_of_jobs_and_no_faster(tmp_path: Path) -> None:
    text = """
class Profile(Struct):
  package = Default(String, 'app')

def make(n):
  parts = [Process(name='p%d' % k, cmdline='{{profile.package}} {{thermos.ports[http]}}') for k in range(3)]
  task = SequentialTask(processes=parts, resources=Resources(cpu=1, ram=1*GB, disk=1*GB))
  return Service(name='j%d' % n, role='r', cluster='c', environment='prod', task=task).bind(profile=Profile())

jobs = [make(n) for n in range(COUNT)]
"""

    def calls(count: int) -> int:
        path = write(tmp_path, web=text.replace("COUNT", str(count)))
        seen = 0

        def count_call(frame: object, event: str, arg: object) -> None:
            nonlocal seen
            seen += event in ("call", "c_call")

        sys.setprofile(count_call)
        try:
            problems = check(load_jobs(path))
        finally:
            sys.setprofile(None)
        assert problems == []
        return seen

    calls(5)
    small, large = calls(20), calls(80)
    assert large - small < 4.2 * small
    assert large / 80 < 5000
