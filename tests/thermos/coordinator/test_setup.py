"""What the command finds when it starts, exactly as ordered, and every stage of the set-up failing by name."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.thermos.coordinator.conftest import STRANGER, root_only, unprivileged
from tests.thermos.coordinator.harness import Host, Program, Started, stat_fields

#: Run as the command: says what it found, as JSON.
REPORT = """
import json, os, resource, signal, sys
fds = sorted(int(fd) for fd in os.listdir("/proc/self/fd"))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
mask = os.umask(0)
print(json.dumps({
    "fds": fds[:-1],
    "stdin": os.readlink("/proc/self/fd/0"),
    "pid": os.getpid(), "session": os.getsid(0), "group": os.getpgrp(),
    "blocked": int(status["SigBlk"], 16), "ignored": int(status["SigIgn"], 16),
    "umask": mask, "cwd": os.getcwd(), "environment": dict(os.environ), "argv": sys.argv,
    "core": resource.getrlimit(resource.RLIMIT_CORE), "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
    "uids": os.getresuid(), "gids": os.getresgid(), "groups": sorted(os.getgroups()),
    "nonblocking": [fd for fd in (0, 1, 2) if not os.get_blocking(fd)],
}))
"""


def any_python() -> str:
    """An interpreter that the command may run whoever it is."""
    return unprivileged(Program("python", (sys.executable,))).argv[-1]


def report(host: Host, **orders: object) -> dict:
    run = host.start(any_python(), "-S", "-c", REPORT, "--", "a b", "", **orders)
    records = run.finish()
    assert records[-1].get("code") == 0, (records, host.raw())
    found: dict = json.loads(host.log())
    assert found["pid"] == records[1]["pid"]
    return found


def test_the_child_has_three_descriptors_its_own_session_and_clean_signals(host: Host) -> None:
    found = report(host)
    assert found["fds"] == [0, 1, 2] and found["stdin"] == "/dev/null" and found["nonblocking"] == []
    assert found["session"] == found["group"] == found["pid"]
    sigpipe_and_sigxfsz = 1 << 12 | 1 << 24  # Python ignores these two itself
    assert found["blocked"] == 0 and found["ignored"] & ~sigpipe_and_sigxfsz == 0
    assert found["argv"] == ["-c", "--", "a b", ""]


def test_ignored_signals_are_not_handed_down(host: Host) -> None:
    wanted = [signal.SIGPIPE, signal.SIGHUP, signal.SIGCHLD]
    before = [signal.signal(number, signal.SIG_IGN) for number in wanted]
    go = host.fifo("go")
    try:
        run = host.bash("read line < go; grep SigIgn /proc/self/status")  # its end must find SIGCHLD restored
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)
    os.write(go, b"\n")
    assert run.finish()[-1]["code"] == 0
    assert int(host.log().split()[1], 16) == 0


def test_environment_directory_umask_and_limits_are_as_ordered(host: Host) -> None:
    env = ["A=1", "EMPTY=", "WITH==equals", "LATIN=\udce4", "LINES=one\ntwo"]
    found = report(
        host,
        env=[variable.encode("utf-8", "surrogateescape") for variable in env],
        umask=0o027,
        rlimit=[f"{resource.RLIMIT_CORE}:0:0", f"{resource.RLIMIT_NOFILE}:100:200"],
    )
    # LC_CTYPE is Python's own doing
    assert {k: v for k, v in found["environment"].items() if k != "LC_CTYPE"} == dict(v.split("=", 1) for v in env)
    assert found["cwd"] == str(host.sandbox) and found["umask"] == 0o027
    assert found["core"] == [0, 0] and found["nofile"] == [100, 200]


def test_what_is_not_ordered_is_the_owners(host: Host) -> None:
    before = os.umask(0o135)
    try:
        found = report(host, cwd=None, env=None)
    finally:
        os.umask(before)
    assert found["umask"] == 0o135 and found["cwd"] == str(Path.cwd())
    assert found["environment"].keys() <= {"LC_CTYPE"}


def test_infinite_limits(host: Host) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == resource.RLIM_INFINITY:
        assert report(host, rlimit=f"{resource.RLIMIT_CORE}:-1:-1")["core"] == [-1, -1]
    else:
        run = host.bash("true", rlimit=f"{resource.RLIMIT_CORE}:-1:-1")
        assert run.end()["kind"] in ("exited", "setup_failed")


@root_only
def test_another_user_with_groups(host: Host) -> None:
    os.chown(host.logs, STRANGER, STRANGER)
    found = report(host, uid=STRANGER, gid=STRANGER + 1, groups=f"{STRANGER + 2},{STRANGER + 3}")
    assert found["uids"] == [STRANGER] * 3 and found["gids"] == [STRANGER + 1] * 3
    assert found["groups"] == [STRANGER + 2, STRANGER + 3]
    for path in (host.logs / "p" / "0" / "stdout", host.logs / "p" / "0"):
        assert (path.stat().st_uid, path.stat().st_gid) == (STRANGER, STRANGER + 1)
    assert (host.logs / "p" / "0" / "stdout").stat().st_mode & 0o777 == 0o644
    assert (host.logs / "p" / "0").stat().st_mode & 0o777 == 0o755
    assert host.inbox.stat().st_uid == 0


@root_only
def test_an_empty_list_of_groups_drops_all(host: Host) -> None:
    os.chown(host.logs, STRANGER, STRANGER)
    found = report(host, uid=STRANGER, gid=STRANGER, groups="")
    assert found["groups"] in ([], [STRANGER])


@root_only
def test_chroot(host: Host) -> None:
    jail = host.root / "jail"
    (jail / "inside").mkdir(parents=True)
    needed = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True).stdout
    for path in ["/bin/bash", *re.findall(r"(/\S+) \(", needed)]:
        (jail / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, jail / path[1:])
    run = host.bash("echo $PWD; echo *", chroot=jail, cwd="/inside", env=None)
    assert run.finish()[-1]["code"] == 0 and host.log() == b"/inside\n*\n"
    inside = host.bash("echo $PWD", run=1, chroot=jail, cwd=None)
    assert inside.finish()[-1]["code"] == 0 and host.log(run=1) == b"/\n"


# ---- stages


def fails(run: Started, stage: str, number: int) -> None:
    *others, last = run.finish()
    assert (last["kind"], last["stage"], last["errno"]) == ("setup_failed", stage, number)
    assert [r["kind"] for r in others] == ["forked"]


@pytest.mark.parametrize(
    ("stage", "number", "orders"),
    [
        ("cgroup", errno.ENOENT, {"cgroup": "/nowhere"}),
        ("rlimits", errno.EINVAL, {"rlimit": "99:1:1"}),
        ("rlimits", errno.EINVAL, {"rlimit": f"{resource.RLIMIT_NOFILE}:10:5"}),
        ("cwd", errno.ENOENT, {"cwd": "/nowhere"}),
        ("cwd", errno.ENOTDIR, {"cwd": "/etc/passwd"}),
        ("log", errno.ENOENT, {"log_base": "/nowhere"}),
        ("log", errno.EPERM, {"log_dir": "logs/../../elsewhere"}),
    ],
    ids=str,
)
def test_a_stage_that_fails_is_named(host: Host, stage: str, number: int, orders: dict) -> None:
    fails(host.bash("touch started", **orders), stage, number)
    assert not (host.sandbox / "started").exists()


def test_exec_that_fails_is_named(host: Host) -> None:
    fails(host.start("/nowhere/program"), "exec", errno.ENOENT)
    fails(host.start(str(host.sandbox), run=1), "exec", errno.EACCES)
    plain = host.sandbox / "plain"
    plain.write_text("no program")
    plain.chmod(0o755)
    fails(host.start(str(plain), run=2), "exec", errno.ENOEXEC)
    fails(host.bash("true", run=3, env="BIG=" + "x" * 200_000), "exec", errno.E2BIG)


@root_only
def test_stages_that_fail_for_root(host: Host) -> None:
    fails(host.bash("true", chroot="/nowhere", log_dir="."), "chroot", errno.ENOENT)
    os.chown(host.logs, STRANGER, STRANGER)
    host.sandbox.chmod(0o700)
    user = {"uid": STRANGER, "gid": STRANGER, "groups": ""}
    fails(host.bash("true", run=1, **user), "cwd", errno.EACCES)  # entered with the user's rights
    os.chown(host.logs, 0, 0)
    os.chown(host.logs / "p", 0, 0)
    fails(host.bash("true", run=2, **user), "log", errno.EACCES)


def test_stages_that_fail_without_rights(stranger_host: Host) -> None:
    host = stranger_host
    other = STRANGER + 7
    fails(host.bash("true", chroot="/"), "chroot", errno.EPERM)
    fails(host.bash("true", run=1, uid=other, gid=other, groups=other), "groups", errno.EPERM)
    fails(host.bash("true", run=2, uid=other, gid=other), "gid", errno.EPERM)
    fails(host.bash("true", run=3, uid=other), "uid", errno.EPERM)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    fails(host.bash("true", run=4, rlimit=f"{resource.RLIMIT_NOFILE}:{hard + 1}:{hard + 1}"), "rlimits", errno.EPERM)
    run = host.bash("id -u", run=5)
    assert run.finish()[-1]["code"] == 0


def test_a_fork_that_fails_is_named(program: Program, stranger_host: Host) -> None:
    """The stranger may have one process only, and that is the coordinator."""
    host = stranger_host
    host.program = unprivileged(program, "/usr/bin/prlimit", "--nproc=1:1")
    fails(host.bash("true"), "fork", errno.EAGAIN)


@root_only
def test_the_child_joins_its_cgroup_before_it_drops_its_rights(host: Host) -> None:
    """Any directory with a cgroup.procs will do: the kernel's own files are covered where cgroups are."""
    group = host.root / "group"
    group.mkdir()
    (group / "cgroup.procs").touch(0o600)
    os.chown(host.logs, STRANGER, STRANGER)
    run = host.bash("true", cgroup=group, uid=STRANGER, gid=STRANGER, groups="")
    assert run.finish()[-1]["code"] == 0
    assert (group / "cgroup.procs").read_text() == "0"


def descriptors_of(pid: int) -> dict[int, str]:
    """Number and target of each; one that is closed while we look (the FIFO, after a poke) is left out."""
    found = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[int(path.name)] = str(path.readlink())
    return found


def test_the_coordinator_keeps_neither_the_owners_directory_nor_its_console(host: Host) -> None:
    ready = host.fifo("ready")
    run = host.bash("read line < ready")
    running = run.record("running")
    assert Path(f"/proc/{run.pid}/cwd").readlink() == Path("/")
    targets = descriptors_of(run.pid)
    assert targets[0] == targets[1] == targets[2] == "/dev/null"
    assert not [t for t in targets.values() if "stdout" in t or "stderr" in t]
    assert stat_fields(run.pid)[3] == str(run.pid)  # its own session
    assert stat_fields(running["pid"])[3] == str(running["pid"])
    os.write(ready, b"\n")
    assert run.wait() == 0
