"""`aurora task run`: what ssh is told, whose output is shown how, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from client.aurora import task_commands
from client.aurora.task_access import LIVE
from client.aurora.task_commands import run_commands
from tests.client.aurora_task.site import KEY, Site
from thermos.errors import HostError


def test_it_runs_in_every_sandbox(site: Site) -> None:
    site.task(1)
    site.task(0)
    done = site.aurora("task", "run", KEY, "cat name; echo oops >&2")
    assert done == (0, "host0:  web 0\nhost0:  oops\nhost1:  web 1\nhost1:  oops\n", "")
    path = f"{site.root}/slaves/*/frameworks/*/executors/thermos-www-prod-web-0-id/runs/latest/sandbox"
    assert site.told("ssh")[0] == ["-n", "-q", "www@host0", f"cd {path} || exit 1; cat name; echo oops >&2"]
    (query,) = site.scheduler.queries
    assert query["statuses"] == ",".join(LIVE)
    assert (query["role"], query["environment"], query["name"]) == ("www", "prod", "web")
    assert "instances" not in query


def test_options_for_ssh(site: Site) -> None:
    site.task(0)
    words = ["-l", "ops", "--ssh-options", "-o 'User Known=x y' -p 2222", "--executor-sandbox", "-t", "3"]
    assert site.aurora("task", "run", *words, KEY, "ls").out == "host0:  sandbox\n"
    ((*options, target, _command),) = site.told("ssh")
    assert options == ["-n", "-q", "-o", "User Known=x y", "-p", "2222"]
    assert target == "ops@host0"


def test_references_in_the_command(site: Site) -> None:
    site.task(0)
    site.task(7)
    known = "{{thermos.ports[http]}} {{mesos.instance}} {{thermos.task_id}} {{mesos.hostname}} {{mesos.role}}"
    other = "{{mesos.cluster}} {{thermos.user}} '{{&mesos.instance}} {{.Names}} ${HOME#x}'"
    said = site.aurora("task", "run", f"{KEY}/7", f"echo {known} {other}")
    assert said.out == (
        "host7:  31007 7 www-prod-web-7-id host7 www west www {{mesos.instance}} {{.Names}} ${HOME#x}\n"
    )


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (
            "{{thermos.ports[admin]}}",
            "Task www-prod-web-0-id has no port named admin (it has http), so {{thermos.ports[",
        ),
        ("{{mesos.nope}}", "nothing is known as {{mesos.nope}}; there are mesos.{instance,hostname,role,cluster} and "),
    ],
)
def test_references_without_a_value(site: Site, command: str, text: str) -> None:
    site.task(0)
    done = site.aurora("task", "run", KEY, command)
    assert (done.code, done.out) == (6, "")
    assert done.err.startswith(f"aurora: {text}")
    assert done.err.count("\n") == 1
    assert site.told("ssh") == []


def test_one_that_fails(site: Site) -> None:
    site.task(0)
    site.task(1)
    done = site.aurora("task", "run", KEY, "cat name; exit {{mesos.instance}}3")
    assert done.code == 4
    assert done.out == "host0:  web 0\nhost1:  web 1\n"
    assert done.err == "aurora: instance 0 on host0: exit code 3\naurora: instance 1 on host1: exit code 13\n"


def test_a_sandbox_that_is_gone(site: Site) -> None:
    shutil.rmtree(site.task(0))
    done = site.aurora("task", "run", KEY, "touch here")
    assert done.code == 4
    assert not (site.home / "here").exists()


def test_some_instances_do_not_run(site: Site) -> None:
    site.task(0)
    site.task(1, status="PENDING")
    done = site.aurora("task", "run", f"{KEY}/0-3", "cat name")
    assert done == (4, "host0:  web 0\n", f"aurora: not running, so nothing was run there: {KEY}/1-3\n")


def test_nothing_runs(site: Site) -> None:
    site.task(0, status="FINISHED")
    done = site.aurora("task", "run", KEY, "true")
    assert done == (6, "", f"aurora: no instance of {KEY} is running on a host; see `aurora job status {KEY}`\n")
    done = site.aurora("task", "run", f"{KEY}/0-2", "true")
    assert done.err.startswith(f"aurora: none of the instances 0-2 of {KEY} is running on a host;")


def test_as_json(site: Site) -> None:
    site.task(0)
    done = site.aurora("task", "run", "-o", "json", f"{KEY}/0-1", "cat name; exit 2")
    assert done.code == 4
    result = {"instance": 0, "taskId": "www-prod-web-0-id", "host": "host0", "exitCode": 2, "output": ["web 0"]}
    assert json.loads(done.out) == {"results": [result], "notRunning": [1]}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"slaveHost": "-oProxyCommand=x"}, "instance 0 of west/www/prod/web has the host '-oProxyCommand=x', which"),
        ({"slaveHost": "a;b"}, "instance 0 of west/www/prod/web has the host 'a;b', which is none"),
        ({"taskId": "../x"}, "instance 0 of west/www/prod/web has the task id '../x', which is none"),
        ({"instanceId": None}, "the scheduler of west describes a task of west/www/prod/web in a way unknown here"),
    ],
)
def test_what_a_scheduler_must_not_say(site: Site, changed: dict[str, object], text: str) -> None:
    site.task(0, **changed)
    done = site.aurora("task", "run", KEY, "true")
    assert (done.code, done.out) == (7, "")
    assert done.err.startswith(f"aurora: {text}")
    assert site.told("ssh") == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-l", "-oX"], "bad user '-oX': it can't be a user's name; see --ssh-user"),
        (["-l", ""], "bad user '': it can't be a user's name; see --ssh-user"),
        (["--ssh-options", "'"], 'bad --ssh-options "\'": No closing quotation'),
    ],
)
def test_bad_options(site: Site, words: list[str], text: str) -> None:
    site.task(0)
    assert site.aurora("task", "run", *words, KEY, "true") == (6, "", f"aurora: {text}\n")


def test_a_cluster_without_slave_root(site: Site) -> None:
    site.task(0)
    del site.entry["slave_root"]
    done = site.aurora("task", "run", KEY, "true")
    file = site.home / ".aurora/clusters.json"
    assert done.code == 6
    assert done.err.startswith(f'aurora: cluster west has no "slave_root" in {file}, the work directory of its Mesos')
    assert done.err.count("\n") == 1


def test_no_ssh(site: Site) -> None:
    site.task(0)
    site.without_programs()
    done = site.aurora("task", "run", KEY, "true")
    assert done == (4, "", "aurora: cannot find the program ssh; install it, or put it on the PATH\n")


@pytest.mark.parametrize(("folder", "written"), [("me sos $x", "me sos $x"), ("me sos2", "me sos?"), ("ab", "a*")])
def test_odd_roots(site: Site, folder: str, written: str) -> None:
    site.root = site.tmp / folder
    site.entry["slave_root"] = f"{site.tmp}/{written}/"
    site.task(0)
    assert site.aurora("task", "run", KEY, "cat name").out == "host0:  web 0\n"


def test_lines_are_never_cut_by_others(tmp_path: Path) -> None:
    for name in ("one", "two"):
        os.mkfifo(tmp_path / name)
    first = f"printf a1; echo go > {tmp_path}/one; read x < {tmp_path}/two; echo a2; printf end"
    second = f"read x < {tmp_path}/one; printf b1; echo go > {tmp_path}/two; echo b2; exit 3"
    said: list[tuple[int, str]] = []
    codes = run_commands(
        [["/bin/sh", "-c", first], ["/bin/sh", "-c", second]], 2, lambda number, line: said.append((number, line))
    )
    assert codes == [0, 3]
    assert sorted(said) == [(0, "a1a2"), (0, "end"), (1, "b1b2")]


def test_no_more_at_once_than_allowed(tmp_path: Path) -> None:
    command = f"mkdir {tmp_path}/busy && rmdir {tmp_path}/busy"
    assert run_commands([["/bin/sh", "-c", command]] * 5, 1, lambda _number, _line: None) == [0] * 5


def test_one_that_closes_its_output_is_waited_for() -> None:
    assert run_commands([["/bin/sh", "-c", "exec >&- 2>&-; exit 5"]], 1, lambda _number, _line: None) == [5]


def test_one_that_is_killed() -> None:
    assert run_commands([["/bin/sh", "-c", "kill -9 $$"]], 1, lambda _number, _line: None) == [137]


def test_odd_lines() -> None:
    said: list[str] = []
    command = "printf 'x%.0s' $(seq 70000); echo; printf 'a\\n\\n\\377\\n'"
    run_commands([["/bin/sh", "-c", command]], 1, lambda _number, line: said.append(line))
    assert "".join(said[:-3]) == "x" * 70000
    assert said[-3:] == ["a", "", "\ufffd"]


def test_none_is_left_when_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_commands, "_PATIENCE_S", 30.0)  # a busy machine may take its time

    def gone(_number: int, _line: str) -> None:
        raise BrokenPipeError

    command = f"trap 'touch {tmp_path}/ended; exit' TERM; echo on; while :; do read x < {tmp_path}/never; done"
    os.mkfifo(tmp_path / "never")
    with pytest.raises(BrokenPipeError):
        run_commands([["/bin/sh", "-c", command], ["/bin/sh", "-c", "exec cat < /dev/zero > /dev/null"]], 2, gone)
    assert (tmp_path / "ended").exists()


def test_what_a_shell_has_started_ends_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")

    def gone(_number: int, _line: str) -> None:
        raise KeyboardInterrupt

    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    command = f"exec 9> {tmp_path}/alive; (sleep 1000; exit) & echo on; wait"
    with pytest.raises(KeyboardInterrupt):
        run_commands([["/bin/sh", "-c", command]], 1, gone, shells=True)
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # nobody has it open any more
    os.close(reader)


def test_what_cannot_be_started() -> None:
    with pytest.raises(HostError, match=r"^cannot run /nowhere/ssh: No such file or directory$"):
        run_commands([["/nowhere/ssh"]], 1, lambda _number, _line: None)


def test_a_cluster_of_this_machine_needs_no_ssh(site: Site) -> None:
    site.root = site.tmp / "lo*cal" / "mesos" / "agent3" / "work"
    site.task(0)
    site.entry["local"] = {"work_dir": str(site.tmp / "lo*cal")}
    del site.entry["slave_root"]
    site.program("ssh", "#!/bin/sh\nexit 77\n")
    done = site.aurora("task", "run", "-l", "nobody", KEY, "cat name; echo {{mesos.instance}}")
    assert done == (0, "host0:  web 0\nhost0:  0\n", "")
    site.task(1)
    shutil.rmtree(site.run_directory(1, "latest"))
    done = site.aurora("task", "run", f"{KEY}/1", "pwd")
    assert done == (
        4,
        "",
        f"aurora: cannot find the sandbox of task www-prod-web-1-id below {site.tmp / 'lo*cal'}\n",
    )
