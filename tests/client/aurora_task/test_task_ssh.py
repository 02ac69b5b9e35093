"""`aurora task ssh`: which instance, tunnels, the pid file, whose exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from client.aurora.task_ssh import run_in_foreground
from tests.client.aurora_task.site import KEY, Site
from thermos.errors import HostError


def test_a_shell_in_the_first_instance(site: Site) -> None:
    site.task(2)
    site.task(1, status="STARTING")
    site.task(0, status="PENDING")
    site.program("bash", "#!/bin/sh\ncat name\nexit 5\n")
    assert site.aurora("task", "ssh", KEY) == (5, "web 1\n", "")
    path = f"{site.root}/slaves/*/frameworks/*/executors/thermos-www-prod-web-1-id/runs/latest/sandbox"
    assert site.told("ssh") == [["-t", "www@host1", f"cd {path} || exit 1; bash"]]


def test_a_command_with_tunnels(site: Site) -> None:
    site.task(0)
    site.task(3, host="fe80::3")
    pid_file = site.tmp / "ssh.pid"
    words = ["-L", "8080:http", "-L", "9:http", "--ssh-options=-C -o A=b", "-l", "ops", "-p", str(pid_file)]
    done = site.aurora("task", "ssh", f"{KEY}/3", *words, "-c", f"cat name {pid_file}; echo {{{{mesos.instance}}}} $$")
    assert done.code == 0
    said, pid, numbers = done.out.splitlines()
    assert said == "web 3"
    assert numbers == f"3 {pid}"  # our ssh becomes the shell
    assert not pid_file.exists()
    ((*words, command),) = site.told("ssh")
    tunnels = ["-L", "8080:[fe80::3]:31003", "-L", "9:[fe80::3]:31003"]
    assert words == ["-t", "-C", "-o", "A=b", *tunnels, "ops@fe80::3"]
    assert command.endswith("echo 3 $$")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-L", "http"], "Could not parse tunnel: http.  Must be of form PORT:NAME"),
        (["-L", "0:http"], "Could not parse tunnel: 0:http.  Must be of form PORT:NAME"),
        (["-L", "70000:http"], "Could not parse tunnel: 70000:http.  Must be of form PORT:NAME"),
        (["-L", "1:admin"], "Task www-prod-web-0-id has no port named admin (it has http)"),
        (["-c", "ls"], f"INSTANCE must be specified when --command option is given: {KEY}/0"),
    ],
)
def test_bad_options(site: Site, words: list[str], text: str) -> None:
    site.task(0)
    assert site.aurora("task", "ssh", KEY, *words) == (6, "", f"aurora: {text}\n")
    assert site.told("ssh") == []


def test_no_such_instance(site: Site) -> None:
    site.task(0)
    done = site.aurora("task", "ssh", f"{KEY}/4")
    assert done.code == 6
    assert done.err.startswith(f"aurora: instance 4 of {KEY} is not running on a host; see")


def test_a_pid_file_that_cannot_be_written(site: Site) -> None:
    site.task(0)
    done = site.aurora("task", "ssh", f"{KEY}/0", "-c", "exec sleep 1000", "-p", "/nowhere/pid")
    assert (done.code, done.out) == (4, "")
    assert done.err.endswith("aurora: cannot write --pid-file /nowhere/pid: No such file or directory\n")


def test_a_pid_file_of_somebody_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    assert run_in_foreground(["/bin/sh", "-c", f"until [ -s {path} ]; do sleep 0.01; done; echo 1 > {path}"], path) == 0
    assert path.read_text() == "1\n"


def test_what_cannot_be_started() -> None:
    with pytest.raises(HostError, match=r"^cannot run /nowhere/ssh: No such file or directory$"):
        run_in_foreground(["/nowhere/ssh"])


def test_one_that_is_killed_by_a_signal() -> None:
    assert run_in_foreground(["/bin/sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM


INTERRUPTED = """
from client.aurora.task_ssh import run_in_foreground
try:
    print("code", run_in_foreground(["/bin/sh", "-c", {script!r}]), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(("answer", "said"), [("exit 0", "code 0"), ("exit 1", "interrupted")])
def test_ctrl_c_is_for_the_command(answer: str, said: str) -> None:
    script = f"trap '{answer}' INT; echo ready; while :; do sleep 0.01; done"
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(script="exec 2>/dev/null; " + script)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        os.killpg(child.pid, signal.SIGINT)
        assert child.stdout.read() == f"{said}\n"


def test_a_cluster_of_this_machine_needs_no_ssh(site: Site) -> None:
    site.root = site.tmp / "local" / "mesos" / "agent0" / "work"
    site.task(0)
    site.entry["local"] = {"work_dir": str(site.tmp / "local")}
    site.program("ssh", "#!/bin/sh\nexit 77\n")
    site.program("bash", "#!/bin/sh\npwd\n")
    done = site.aurora("task", "ssh", KEY, "-L", "8080:http")
    assert done == (
        0,
        f"{site.run_directory(0, 'latest') / 'sandbox'}\n",
        "aurora: no tunnel 8080:http is needed: host0:31000 is on this machine\n",
    )
