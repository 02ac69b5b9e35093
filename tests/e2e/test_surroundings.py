"""What a command finds: user, groups, environment, descriptors, logs (spec §6.2, 84-90, 93)."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import LIBRARY, Host, Task

both_coordinators = pytest.mark.parametrize("host", ["c", "python"], indirect=True)

NOBODY = pwd.getpwnam("nobody")


LOOK_AROUND = """
  python3 -c 'import os; print("fds", *[n for n in range(1024) if os.path.exists("/proc/self/fd/%d" % n)])'
  echo stdin $(readlink /proc/$$/fd/0)
  tr '\\t' ' ' < /proc/self/status | cat | grep -E '^Sig(Blk|Ign|Cgt)'
  echo nofile $(ulimit -n)
  echo umask $(umask)
"""

WHO_AM_I = """
  id -u; id -ru; id -g; id -rg; id -G
  echo $USER $LOGNAME
  grep -E '^(Cap(Eff|Prm)|Uid|Gid)' /proc/$$/status
  touch made
"""

#: 32 and 33 belong to the C library; its posix_spawn leaves them ignored in what it starts.
INTERNAL_SIGNALS = 0b11 << 31


def only(cmdline: str, more: str = "") -> str:
    """A config of one process."""
    return f"export(Task(name = 'only', processes = [Process(name = 'p', cmdline = {cmdline!r}{more})]))"


@both_coordinators
def test_the_environment_is_exactly_this(host: Host) -> None:
    task = host.run(only("exec env -0"), env={"SECRET": "of the runner", "LD_PRELOAD": ""})
    task.wait_end("SUCCESS")
    shown = dict(entry.split("=", 1) for entry in task.log("p").split("\0") if entry)
    for name in ("PWD", "SHLVL", "_"):  # bash's own
        shown.pop(name, None)
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert shown == {
        "HOME": str(task.sandbox),
        "LOGNAME": me,
        "USER": me,
        "PATH": os.environ["PATH"],
        "THERMOS_RUN": task.runs("p")[0].nonce,
    }


def test_a_profile_adds_only_bash_env(host: Host) -> None:
    task = host.run(
        only("tr '\\0' '\\n' < /proc/$$/environ"), before=lambda task: task.file(".thermos_profile").touch()
    )
    task.wait_end("SUCCESS")
    shown = dict(line.split("=", 1) for line in task.log("p").splitlines())
    assert set(shown) == {"HOME", "LOGNAME", "USER", "PATH", "THERMOS_RUN", "BASH_ENV"}
    assert shown["BASH_ENV"] == str(task.file(".thermos_profile"))


def test_preserve_env_keeps_what_the_runner_had(host: Host) -> None:
    env = {"KEPT": "two words\nand a line", "HOME": "/nonexistent", "USER": "somebody"}
    task = host.run(only("exec env -0"), "--preserve-env", env=env)
    task.wait_end("SUCCESS")
    shown = dict(entry.split("=", 1) for entry in task.log("p").split("\0") if entry)
    assert shown["KEPT"] == env["KEPT"]
    assert shown["HOME"] == str(task.sandbox), "what names the user and the place is ours all the same"
    assert shown["USER"] == pwd.getpwuid(os.geteuid()).pw_name


@both_coordinators
def test_no_descriptor_leaks_and_nothing_is_blocked(host: Host) -> None:
    """The runner itself is started with strange descriptors and signal settings."""

    def strange() -> None:
        os.dup2(0, 17)
        os.dup2(0, 200)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM])

    task = host.run(only(LOOK_AROUND), preexec_fn=strange, close_fds=False)
    task.wait_end("SUCCESS")
    shown = dict(line.split(" ", 1) for line in task.log("p").splitlines())
    assert set(shown["fds"].split()) == {"0", "1", "2"}
    assert shown["stdin"] == "/dev/null"
    assert int(shown["SigBlk:"], 16) == int(shown["SigCgt:"], 16) == 0
    assert int(shown["SigIgn:"], 16) & ~INTERNAL_SIGNALS == 0
    assert int(shown["nofile"]) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert shown["umask"] == "0022"


def test_the_place_and_the_terminal(host: Host) -> None:
    task = host.run(only("pwd; tty; cut -d' ' -f5,6,7,8 /proc/$$/stat; echo $$"))
    task.wait_end("SUCCESS")
    place, tty, stat, pid = task.log("p").splitlines()
    assert place == str(task.sandbox) and tty == "not a tty"
    assert stat == f"{pid} {pid} 0 -1", "leads a session and a group of its own, without a terminal"


@pytest.mark.root
def test_root_runs_as_another_user_with_its_groups(open_host: Host) -> None:
    """Groups first, then gid, then uid: the other way round the later steps would be refused."""
    task = open_host.run(
        only(WHO_AM_I),
        "--user",
        "nobody",
        before=give_to_nobody,
    )
    task.wait_end("SUCCESS")
    uid, gid = str(NOBODY.pw_uid), str(NOBODY.pw_gid)
    lines = task.log("p").splitlines()
    groups = sorted(os.getgrouplist("nobody", NOBODY.pw_gid))
    assert lines[:4] == [uid, uid, gid, gid]
    assert sorted(map(int, lines[4].split())) == groups
    assert lines[5] == "nobody nobody"
    assert lines[6].split()[1:] == [uid] * 4 and lines[7].split()[1:] == [gid] * 4
    assert [line.split()[1] for line in lines[8:10]] == ["0" * 16] * 2, "capabilities are left"
    assert task.file("made").stat().st_uid == NOBODY.pw_uid
    logs = task.sandbox / ".logs" / "p" / "0"
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (logs, logs / "stdout", logs / "stderr")}
    assert owners == {(NOBODY.pw_uid, NOBODY.pw_gid)}
    assert task.paths.runner.stat().st_uid == 0, "checkpoints stay the runner's"


@pytest.mark.root
def test_supplementary_groups_are_the_user_s_not_root_s(open_host: Host) -> None:
    """A user with several groups, if there is one on this host; the runner's own groups are strange ones."""
    user, groups = max(
        ((entry.pw_name, os.getgrouplist(entry.pw_name, entry.pw_gid)) for entry in pwd.getpwall() if entry.pw_uid),
        key=lambda pair: len(pair[1]),
    )
    task = open_host.run(
        only("id -G"), "--user", user, before=lambda task: task.sandbox.chmod(0o777), extra_groups=[4242, 4243]
    )
    task.wait_end("SUCCESS")
    assert sorted(map(int, task.log("p").split())) == sorted(groups)
    assert all(grp.getgrgid(gid) for gid in groups)


@pytest.mark.root
def test_a_chroot_is_all_that_a_command_sees(open_host: Host) -> None:
    """`~` is the user's home inside it; the logs lie below the sandbox as always."""
    task = open_host.run(
        only("pwd; echo *; echo $HOME; cd ..; pwd; [ -e /proc ] || echo no proc"),
        "--enable-chroot",
        "--user",
        "nobody",
        before=lambda task: (furnish(task.sandbox), give_to_nobody(task)),
    )
    task.wait_end("SUCCESS")
    place, seen, home, above, proc = task.log("p").splitlines()
    assert (place, above, home, proc) == ("/", "/", NOBODY.pw_dir, "no proc")
    assert set(seen.split()) == {path.name for path in task.sandbox.iterdir() if not path.name.startswith(".")}


@pytest.mark.root
def test_a_chroot_without_a_shell_says_at_which_step_it_failed(open_host: Host) -> None:
    task = open_host.run(only("true"), "--enable-chroot")
    task.wait_end("FAILED")
    run = task.runs("p")[0]
    assert (run.stage, run.errno) == ("exec", errno.ENOENT)


def furnish(root: Path) -> None:
    """Put a bash and its libraries there."""
    listed = subprocess.run(["ldd", "/bin/bash"], capture_output=True, text=True, check=True).stdout
    for name in ("/bin/bash", *re.findall(r"/\S+", listed)):
        (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, root / name[1:])


def give_to_nobody(task: Task) -> None:
    os.chown(task.sandbox, NOBODY.pw_uid, NOBODY.pw_gid)


@pytest.mark.root
def test_who_is_not_root_can_not_run_as_somebody_else(open_host: Host) -> None:
    os.chown(open_host.place, NOBODY.pw_uid, NOBODY.pw_gid)
    as_nobody = {"E2E_BECOME": f"{NOBODY.pw_uid}:{NOBODY.pw_gid}"}
    task = open_host.task(only("touch ran"), "--user", "root", env=as_nobody, command=LIBRARY)
    give_to_nobody(task)
    task.start()
    assert task.wait_exit() == 1
    assert "cannot run as user root: only root may run processes as other users" in open_host.said()
    assert "Traceback" not in open_host.said()
    assert not task.file("ran").exists()
    mine = open_host.task(only("id -un"), "--user", "nobody", task_id="mine", env=as_nobody, command=LIBRARY)
    give_to_nobody(mine)
    mine.start()
    mine.wait_end("SUCCESS")
    assert mine.log("p") == "nobody\n"


def test_an_unknown_user_is_one_clear_line(host: Host) -> None:
    task = host.run(only("touch ran"), "--user", "nobody-of-that-name")
    assert task.wait_exit() == 2
    assert "unknown user 'nobody-of-that-name' on this host" in host.said()
    assert not task.file("ran").exists()


@both_coordinators
@pytest.mark.parametrize("cut", [lambda path: os.truncate(path, 0), lambda path: path.write_text("")])
def test_standard_logs_may_be_truncated_from_outside(host: Host, cut: Callable[[Path], object]) -> None:
    """They are written by append: what comes later stands at the beginning, not behind a hole."""
    task = host.run(only("seq 1 1000; echo > up; read x < go; echo later; echo 'and more'"), before=Task.gate)
    task.wait_file("up")
    log = task.sandbox / ".logs" / "p" / "0" / "stdout"
    assert len(log.read_text().splitlines()) == 1000
    cut(log)
    task.let_go()
    task.wait_end("SUCCESS")
    assert log.read_bytes() == b"later\nand more\n"


@both_coordinators
def test_every_run_has_logs_of_its_own(host: Host) -> None:
    task = host.run(
        only(
            "echo out $(ls .logs/p | wc -l); echo err >&2; [ $(ls .logs/p | wc -l) = 3 ]",
            ", max_failures = 5, min_duration = 0",
        )
    )
    task.wait_end("SUCCESS")
    assert [task.log("p", run) for run in range(3)] == ["out 1\n", "out 2\n", "out 3\n"]
    assert [task.log("p", run, "stderr") for run in range(3)] == ["err\n"] * 3


@both_coordinators
@pytest.mark.parametrize("destination", ["file", "console", "both", "none"])
def test_output_goes_where_the_logger_says(host: Host, destination: str) -> None:
    task = host.run(only("echo to-stdout; echo to-stderr >&2", f", logger = Logger(destination = '{destination}')"))
    task.wait_end("SUCCESS")
    logs = task.sandbox / ".logs" / "p" / "0"
    kept = {path.name: path.read_text() for path in logs.iterdir()} if logs.exists() else {}
    in_files = destination in ("file", "both")
    assert kept == ({"stdout": "to-stdout\n", "stderr": "to-stderr\n"} if in_files else {})
    on_console = destination in ("console", "both")
    assert ("to-stdout\n" in host.said(), "to-stderr\n" in host.said()) == (on_console, on_console)


@both_coordinators
def test_rotation_keeps_so_many_files_and_whole_lines(host: Host) -> None:
    policy = "logger = Logger(mode = 'rotate', rotate = RotatePolicy(log_size = 4096, backups = 2))"
    task = host.run(only("seq 100000 104999; seq 200000 204999 >&2", f", {policy}"))
    task.wait_end("SUCCESS")
    logs = task.sandbox / ".logs" / "p" / "0"
    assert {path.name for path in logs.iterdir()} == {
        f"{name}{suffix}" for name in ("stdout", "stderr") for suffix in ("", ".1", ".2")
    }
    for name, last in (("stdout", 104999), ("stderr", 204999)):
        text = "".join((logs / f"{name}{suffix}").read_text() for suffix in (".2", ".1", ""))
        numbers = [int(line) for line in text.splitlines()]
        assert numbers == list(range(numbers[0], last + 1)), "lines were lost or cut"


def test_a_background_child_that_holds_the_output_does_not_hold_up_the_run(host: Host) -> None:
    """Pumped logs: the pipe has no end while the child lives; the child has left the session."""
    policy = "logger = Logger(mode = 'rotate'), finalization_wait = 5"
    task = host.run(only("setsid sleep 3600 & echo hi", f", {policy.split(', final')[0]}"))
    view = task.wait_end("SUCCESS")
    assert task.log("p") == "hi\n"
    assert view.history[-1].mono - view.history[0].mono < 25  # nobody waits for a deadline, which would be 30
