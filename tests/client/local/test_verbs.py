"""What the verbs say and end with where there is no cluster, or what was asked for can't be. Nothing is started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.aurora.exits import Exit, code_of
from client.aurora.local_begin import _milestones, _missing
from client.aurora.local_chaos import seconds_of
from client.aurora.local_faults import agent_number, situation, task_of
from client.aurora.local_look import Agent, Look, Part, look
from client.aurora.local_place import (
    LOGS,
    STORE,
    clear_work_dir,
    known_clusters,
    load_plan,
    locked,
    make_work_dir,
    pick_cluster,
    plan_path,
    save_plan,
)
from client.aurora.local_status import look_json, look_lines
from client.aurora.main import cli
from client.exits import guard
from client.words import call
from tests.client.local.plans import plan
from tests.client.room import Done
from thermos.errors import HostError, UserError


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("AURORA_CONFIG_ROOT", str(tmp_path / "site"))
    folder = tmp_path / "state" / "aurora" / "local"
    folder.mkdir(parents=True)
    return folder


def local(capsys: pytest.CaptureFixture[str], *words: str) -> Done:
    code = guard("aurora", lambda: call(cli, "aurora", ["local", *words], usage=Exit.BAD_COMMAND), code_of)
    told = capsys.readouterr()
    return Done(code, told.out, told.err)


CASES = [
    (["status"], 4, "cluster rz1 is not up; `aurora local up` starts it\n", ""),
    (["status", "--cluster", "x"], 4, "cluster x is not up; `aurora local up --cluster x` starts it\n", ""),
    (["status", "-o", "json"], 4, '{\n "cluster": "rz1",\n "up": false\n}\n', ""),
    (["down"], 0, "cluster rz1 is not up\n", ""),
    (["chaos", "kill-scheduler"], 4, "", "aurora: cluster rz1 is not up; `aurora local up` starts it\n"),
    (["chaos", "monkey", "--for", "x"], 6, "", "aurora: Invalid value for '--for': 'x' is no time; write 2s, 500ms "),
    (["chaos", "explode"], 5, "", "aurora: No such command 'explode'"),
    (["chaos", "kill-agent"], 5, "", "aurora: Missing argument 'AGENT'"),
    (["down", "--cluster", "a/b"], 6, "", "aurora: bad name of a cluster 'a/b': use letters, digits and _.- "),
    (["up", "--agents", "0"], 6, "", "aurora: Invalid value for '--agents': 0 is not in the range 1<=x<=48."),
    (["up", "--attributes", "x"], 6, "", "aurora: bad attributes 'x': write NAME:VALUE;NAME:VALUE"),
    (["up", "--mesos-port", "80"], 6, "", "aurora: Invalid value for '--mesos-port': '80' is no port: write 1024 to"),
    (["up", "--task-ports", "5"], 6, "", "aurora: Invalid value for '--task-ports': '5' is no range of ports; write "),
    (["up", "--task-ports", "31000-31001"], 6, "", "aurora: bad range of ports 31000-31001 for 4 agents"),
    (["up", "--work-dir", ""], 6, "", "aurora: --work-dir is empty; give a path or leave it out\n"),
    (["up", "--nonsense"], 5, "", "aurora: No such option"),
]


@pytest.mark.parametrize(("words", "code", "out", "err"), CASES, ids=[" ".join(case[0]) for case in CASES])
def test_one_clear_line(
    state: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, out: str, err: str
) -> None:
    done = local(capsys, *words)
    assert (done.code, done.out, done.err[: len(err)]) == (code, out, err)
    assert done.err.count("\n") == (1 if err else 0)
    assert list(state.iterdir()) == []


def test_a_cluster_that_somebody_else_defined_is_not_touched(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path.home() / ".aurora" / "clusters.json"
    file.parent.mkdir()
    file.write_text('[{"name": "rz1", "scheduler_uri": "http://real"}]')
    done = local(capsys, "up")
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith(f"aurora: cluster 'rz1' is defined in {file}, and not by `aurora local`")
    file.write_text("{")
    done = local(capsys, "up")
    assert (done.code, done.err.count("\n")) == (6, 1)
    assert done.err.startswith(f"aurora: {file}:1: not JSON")
    assert file.read_text() == "{"
    assert list(state.iterdir()) == []


def test_clusters_share_no_ports(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_plan(plan(cluster="one", task_ports=(31000, 31999)))
    words = [word for part in ("mesos", "scheduler", "observer") for word in (f"--{part}-port", "auto")]
    done = local(capsys, "up", *words)
    text = "aurora: ports 31000-31999 are those of cluster one; choose others: --task-ports\n"
    assert (done.code, done.err) == (6, text)


def test_a_monkey_finds_nothing_to_break(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_plan(plan(tmp_path / "none"))
    done = local(capsys, "chaos", "monkey", "--for", "60ms", "--every", "50ms", "--seed", "1")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0] == "seed 1: a fault every 0.05 s for 0.06 s"
    assert all(line.endswith(" nothing: Mesos is not up") for line in lines[1:-1])
    assert len(lines) > 2
    assert lines[-1] == "0 faults; what has come of it: aurora local status, aurora job status"
    done = local(capsys, "chaos", "kill-agent", "1")
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("aurora: cannot kill-agent: the embedded Mesos does not answer (")


# --- where it is kept


def test_plans_are_kept_and_forgotten(state: Path) -> None:
    assert (load_plan("rz1"), known_clusters(), pick_cluster(None)) == (None, [], "rz1")
    save_plan(plan(cluster="x"))
    assert load_plan("x") == plan(cluster="x")
    assert (pick_cluster(None), pick_cluster("y")) == ("x", "y")
    save_plan(plan(cluster="z"))
    assert pick_cluster(None) == "rz1"
    plan_path("x").write_text("{")
    with pytest.raises(HostError, match=r"cannot understand .*/x\.json: .*; remove it if no cluster is up"):
        load_plan("x")


def test_only_one_is_at_work(state: Path) -> None:
    with (
        locked(),
        pytest.raises(HostError, match="another `aurora local up` or `down` is at work"),
        locked(),
    ):
        raise AssertionError("two at once")
    with locked():
        pass


def test_a_work_dir_is_private_and_only_ours_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_work_dir(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("mesos", STORE, LOGS):
        (folder / name).mkdir()
        (folder / name / "x").write_text("")
    (folder / "control").write_text("")
    clear_work_dir(folder, STORE)
    assert [each.name for each in folder.iterdir()] == [STORE]
    make_work_dir(folder)
    clear_work_dir(folder)
    assert not folder.exists()
    clear_work_dir(folder)

    folder.mkdir()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(UserError, match=r"--work-dir .* holds other things \(thesis.tex\); name an empty directory"):
        make_work_dir(folder)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x").write_text("")
    (folder / "mesos").symlink_to(tmp_path / "elsewhere")
    clear_work_dir(folder)
    assert (tmp_path / "elsewhere" / "x").exists()
    assert [each.name for each in folder.iterdir()] == ["thesis.tex"]
    with pytest.raises(HostError, match="cannot make"):
        make_work_dir(folder / "thesis.tex" / "x")


# --- what it looks like


def part(name: str, words: str = "", **changes: object) -> Part:
    given = {"state": "running", "pid": 7, "restarts": 0, "since": 90.0, "answers": not words} | changes
    return Part(name=name, url=plan().url_of(name), words=words, **given)  # type: ignore[arg-type]


def agents(*states: str, offered: bool | None = True) -> tuple[Agent, ...]:
    return tuple(
        Agent(number, plan().hosts[number], state, plan().attributes[number], 0, offered)
        for number, state in enumerate(states)
    )


UP = Look(
    parts=(part("mesos"), part("scheduler"), part("observer")), agents=agents("up", "up"), tasks={}, minded=True
)  # fmt: skip


def test_it_is_up_when_all_of_it_is() -> None:
    assert UP.is_up
    assert UP.is_ready
    for broken in (
        Look(parts=UP.parts, agents=UP.agents, minded=False),
        Look(parts=(*UP.parts[:2], part("observer", "does not answer")), agents=UP.agents, minded=True),
        Look(parts=UP.parts, agents=agents("up", "cut off"), minded=True),
    ):
        assert not broken.is_up
        assert not broken.is_ready
    waiting = Look(parts=UP.parts, agents=agents("up", "up", offered=None), minded=True)
    assert (waiting.is_up, waiting.is_ready) == (True, False)
    assert _missing(waiting) == "no offer of 127.0.0.11, 127.0.0.12 has come"
    in_use = (Agent(0, "h", "up", "a:b", executors=1, offered=False), agents("up", "up")[1])
    assert Look(parts=UP.parts, agents=in_use, minded=True).is_ready
    started = Look(parts=(part("mesos", "does not answer"), *UP.parts[1:]), agents=UP.agents, minded=True)
    assert _missing(started) == "Mesos does not answer"
    assert [key for key, _ in _milestones(plan(hosts=plan().hosts[:2]), UP)] == ["mesos", "observer", "scheduler"]
    assert [key for key, _ in _milestones(plan(), started)] == ["observer", "scheduler"]


def test_the_page_of_status() -> None:
    lines = list(look_lines(plan(), UP, 100.0))
    assert lines[0] == "cluster rz1 is up"
    assert lines[1].split() == ["PART", "STATE", "PID", "UP", "RESTARTS", "URL"]
    assert lines[2] == "mesos      running  7    10 s  0         http://127.0.0.1:5050"
    assert "tasks: none" in lines
    bad = Look(
        parts=(part("mesos", state="starting", pid=None, since=0.0, answers=False, words="does not answer"),
               part("scheduler", "is not connected to the Mesos master", restarts=3), UP.parts[2]),
        agents=agents("down", "cut off"),
    )  # fmt: skip
    text = "\n".join(look_lines(plan(), bad, 100.0))
    assert text.startswith("cluster rz1 is not wholly up\n")
    assert "mesos      starting                                       -    -     0" in text
    assert "running, is not connected to the Mesos master" in text
    assert "tasks: not known, the scheduler does not answer" in text
    assert text.endswith("nobody minds its parts; `aurora local up` ends what is left and starts anew")
    shown = json.loads(json.dumps(look_json(plan(), bad)))
    assert (shown["up"], shown["tasks"], shown["parts"][0]["startedAt"]) == (False, None, None)
    assert (shown["agents"][1]["state"], shown["parts"][1]["lacks"]) == (
        "cut off", "is not connected to the Mesos master",
    )  # fmt: skip


def test_a_look_at_nothing(tmp_path: Path) -> None:
    gone = plan(tmp_path / "gone", root=str(tmp_path / "root"))
    seen = look(gone, tasks=True)
    assert [part.state for part in seen.parts] == ["not started"] * 3
    assert {agent.state for agent in seen.agents} == {"down"}
    assert (seen.tasks, seen.is_up, seen.ended) == (None, False, "it is gone")
    assert situation(gone) is None


# --- what is meant


def test_agents_and_tasks_by_what_people_type(tmp_path: Path) -> None:
    assert [agent_number(plan(), text) for text in ("0", "3", "127.0.0.12")] == [0, 3, 1]
    for wrong in ("4", "-1", "x", "127.0.0.1", ""):
        with pytest.raises(UserError, match=r"no agent '.*': there are 0 to 3 \(127.0.0.11 to 127.0.0.14\)"):
            agent_number(plan(), wrong)
    assert task_of(plan(), "www-test-x-0-1") == "www-test-x-0-1"
    assert task_of(plan(), "thermos-www-test-x-0-1") == "www-test-x-0-1"
    for wrong in ("www/test/x", "www/test/x/y", "rz1/www/test/x", "/test/x/0", "other/www/test/x/0"):
        with pytest.raises(UserError, match="bad instance"):
            task_of(plan(), wrong)


def test_times() -> None:
    seconds = [seconds_of(None, None, text) for text in ("2s", "500ms", "1.5m", "3")]  # type: ignore[arg-type]
    assert seconds == [2.0, 0.5, 90.0, 3.0]
