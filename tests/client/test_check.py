"""`thermos check` and `thermos inspect`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.client.room import Room

EXAMPLES = Path(__file__).parents[2] / "examples"

TWO_ERRORS = """
ps = [Process(name = n, cmdline = 'true {{oops}}') for n in ('a', 'a')]
export(Task(name = 'x', processes = ps, resources = Resources(cpu = 1, ram = 1*MB, disk = 1*MB)))
"""

GRAPH = """
def p(name, **more):
  return Process(name = name, cmdline = 'echo {{thermos.ports[http]}}', **more)
a, b, c, d = p('a'), p('b', daemon = True), p('c', max_failures = 0), p('d', final = True)
export(Task(name = 'graph', processes = [a, b, c, d], constraints = order(a, c), finalization_wait = 7,
            resources = Resources(cpu = 0.5, ram = 64*MB, disk = 1*GB)))
"""


def test_a_good_config_is_ok(room: Room) -> None:
    done = room.thermos("check", str(EXAMPLES / "pipeline.thermos"))
    assert (done.code, done.out) == (0, f"{EXAMPLES}/pipeline.thermos: ok (1 task)\n")


def test_all_problems_are_told_at_once(room: Room) -> None:
    config = room.config(TWO_ERRORS)
    done = room.thermos("check", config)
    assert done.code == 3
    assert "oops" in done.out
    assert "rename one" in done.out
    *problems, last = done.out.splitlines()
    assert last == f"{config}: {len(problems)} errors (1 task)"


def test_problems_as_json(room: Room) -> None:
    done = room.thermos("check", "-o", "json", room.config(TWO_ERRORS))
    report = json.loads(done.out)
    assert (done.code, report["ok"]) == (3, False)
    assert {"error"} == {problem["severity"] for problem in report["problems"]}
    assert all(problem["text"] for problem in report["problems"])


def test_a_file_that_can_not_be_read_is_a_problem_too(room: Room) -> None:
    done = room.thermos("check", "-o", "json", "nowhere.thermos")
    assert (done.code, json.loads(done.out)["ok"]) == (3, False)
    assert room.thermos("check", room.config("x = 1", "empty.thermos")).code == 3


def test_prints_of_a_config_do_not_spoil_json(room: Room) -> None:
    done = room.thermos("check", "-o", "json", room.config("print('hello')\n" + GRAPH))
    assert json.loads(done.out)["ok"]


def test_inspect_shows_ports_and_levels(room: Room) -> None:
    done = room.thermos("inspect", room.config(GRAPH))
    assert done.code == 0
    assert done.out.splitlines()[:8] == [
        "task graph",
        "  resources: cpu 0.5, ram 64 MB, disk 1024 MB",
        "  max_failures: 1",
        "  finalization_wait: 7 s",
        "  port http: not bound",
        "  level 0: a, b",
        "  level 1: c",
        "  level 2: d",
    ]
    assert "    $ echo {{thermos.ports[http]}}\n" in done.out
    assert "  process c\n    after: a\n    max_failures: any number\n" in done.out
    assert "  process b (daemon)\n" in done.out


def test_inspect_as_json_with_a_port(room: Room) -> None:
    done = room.thermos("inspect", "-P", "http:8080", "-o", "json", room.config(GRAPH))
    shown = json.loads(done.out)
    assert shown["ports"] == {"http": 8080}
    assert shown["levels"] == [["a", "b"], ["c"], ["d"]]
    assert shown["task"]["processes"][0] == {"name": "a", "cmdline": "echo 8080"}


def test_inspect_of_a_bad_config_is_3(room: Room) -> None:
    done = room.thermos("inspect", room.config(TWO_ERRORS))
    assert (done.code, done.out) == (3, "")
    assert "oops" in done.err


def test_inspect_of_a_job_keeps_its_port_by_name(room: Room) -> None:
    done = room.thermos("inspect", str(EXAMPLES / "webserver.aurora"))
    assert done.code == 0, done.err
    assert "python3 -m http.server {{thermos.ports[http]}}" in done.out
