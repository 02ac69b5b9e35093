"""The seam itself, the orders, users: small things that everything else stands on."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.thermos.host.faults import CALLS, FaultyKernel
from tests.thermos.host.puppets import ME
from thermos.errors import HostError
from thermos.host import users
from thermos.host.kernel import Kernel, parse_stat
from thermos.host.proctree import exit_of
from thermos.host.spawn import OrderForm, RunOrder, Settings
from thermos.host.users import Identity, UnknownUser, check_may_become, current_user, resolve_user
from thermos.model import LoggerSpec, LogMode, ProcessSpec


@pytest.mark.parametrize("comm", ["plain", "with blank", ") R 1 (", "((", "", "é", "\n"])
def test_a_comm_may_hold_anything(comm: str) -> None:
    rest = " ".join(["S", "7", "8", "9", *map(str, range(100, 140))])
    stat = parse_stat(42, f"42 ({comm}) {rest}\n".encode())
    assert (stat.pid, stat.comm, stat.state, stat.ppid, stat.session) == (42, comm, "S", 7, 9)
    assert stat.start == 115, "field 22"


def test_what_is_known_of_ourselves() -> None:
    kernel = Kernel()
    me = kernel.proc_stat(os.getpid())
    assert me is not None and me.ppid == os.getppid() and me.session == os.getsid(0)
    assert os.getpid() in kernel.proc_pids() and kernel.proc_uid(os.getpid()) == os.geteuid()
    assert len(kernel.boot_id()) == 36 and kernel.pid_namespace() > 0
    assert kernel.proc_stat(2**22 + 1) is None and kernel.proc_uid(2**22 + 1) is None
    assert kernel.proc_environ(2**22 + 1) == b""
    assert kernel.reap(os.getpid()) is None


def test_nonces_differ() -> None:
    assert len({Kernel().nonce() for _ in range(1000)}) == 1000


def test_everything_opened_is_closed_on_exec(tmp_path: Path) -> None:
    fd = Kernel().open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    assert not os.get_inheritable(fd) and fd > 3
    os.close(fd)


def test_faults_can_reach_every_call() -> None:
    kernel = FaultyKernel()
    kernel.geteuid()
    assert kernel.calls["geteuid"] == 1
    assert {"write", "spawn", "pidfd_open", "rename"} <= set(CALLS)


@pytest.mark.parametrize("status, expected", [(0, (0, None)), (3 << 8, (3, None)), (9, (None, 9)), (0x8B, (None, 11))])
def test_wait_statuses(status: int, expected: tuple[int | None, int | None]) -> None:
    assert exit_of(status) == expected


def settings(tmp_path: Path) -> Settings:
    return Settings(sandbox=tmp_path, log_dir=tmp_path / ".logs", user=ME, hostname="h", path="/bin")


def orders_of(tmp_path: Path, process: ProcessSpec, **changes: object) -> list[tuple[str, str]]:
    order = RunOrder(process=process, run=3, nonce="n", offset=77, wake=5, stop_wait=1.5, owner=(10, 20))
    data = OrderForm(replace(settings(tmp_path), **changes)).render(order)  # type: ignore[arg-type]
    version, *fields, end = data.split(b"\0")
    assert (version, end) == (b"1", b"")
    pairs = [field.decode("utf-8", "surrogateescape").partition("=") for field in fields]
    return [(key, value) for key, _, value in pairs]


def test_orders_say_what_the_contract_wants(tmp_path: Path) -> None:
    fields = orders_of(tmp_path, ProcessSpec(name='a"b', cmdline="echo x=y; exit\n"))
    found = dict(fields)
    assert found["process"] == 'a\\"b' and found["inbox"] == 'coordinator.a"b'
    assert (found["run"], found["scan_from"], found["wake"], found["stop_wait"]) == ("3", "77", "5", "1500")
    assert [value for key, value in fields if key == "arg"] == ["/bin/bash", "-c", "echo x=y; exit\n"]
    assert not {"uid", "gid", "groups", "chroot", "owner", "on_owner_death", "rlimit"} & set(found)
    assert found["log_base"] == str(tmp_path) and found["log_dir"] == '.logs/a"b/3'


def test_orders_for_another_user_in_a_chroot_that_ends_with_its_owner(tmp_path: Path) -> None:
    user = Identity("u", 5, 6, (6, 7), "/home/u")
    process = ProcessSpec(name="p", cmdline="x", logger=LoggerSpec(mode=LogMode.ROTATE, log_size=10, backups=2))
    found = dict(
        orders_of(
            tmp_path, process, user=user, setuid=True, chroot=True, nofile=(1, 2), on_owner_death="stop", owner_wait=2.0
        )
    )
    assert (found["uid"], found["gid"], found["groups"], found["cwd"]) == ("5", "6", "6,7", "/")
    assert (found["chroot"], found["rlimit"]) == (str(tmp_path), "7:1:2")
    assert (found["on_owner_death"], found["owner"], found["owner_wait"]) == ("stop", "10:20", "2000")
    assert (found["mode"], found["log_size"], found["log_backups"]) == ("rotate", "10", "2")


def environment(tmp_path: Path, **changes: object) -> dict[str, str]:
    fields = orders_of(tmp_path, ProcessSpec(name="p", cmdline="x"), **changes)
    pairs = [value.partition("=") for key, value in fields if key == "env"]
    assert len({name for name, _, _ in pairs}) == len(pairs), "nothing is said twice"
    return {name: value for name, _, value in pairs}


def test_the_environment_is_exactly_this(tmp_path: Path) -> None:
    expected = {"HOME": str(tmp_path), "LOGNAME": "me", "USER": "me", "PATH": "/bin", "THERMOS_RUN": "n"}
    assert environment(tmp_path) == expected
    (tmp_path / ".thermos_profile").write_text("")
    assert environment(tmp_path) == expected | {"BASH_ENV": str(tmp_path / ".thermos_profile")}
    kept = environment(tmp_path, base_env={"LANG": "C", "HOME": "/x", "THERMOS_RUN": "outer"})
    assert (kept["LANG"], kept["HOME"], kept["THERMOS_RUN"]) == ("C", str(tmp_path), "n")


def test_users_that_do_not_exist_are_named() -> None:
    with pytest.raises(UnknownUser, match="unknown user 'no-such-user' on this host; create it or choose another"):
        resolve_user("no-such-user")


def test_a_uid_without_a_name_is_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_of_that_number(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(users.pwd, "getpwuid", nobody_of_that_number)
    assert current_user().name == str(os.geteuid()) and current_user().uid == os.geteuid()


def test_only_root_may_become_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users.os, "geteuid", lambda: 1000)
    check_may_become(Identity("same", 1000, 1, (), "/"))
    with pytest.raises(HostError, match="cannot run as user other: only root may"):
        check_may_become(Identity("other", 1001, 1, (), "/"))
    monkeypatch.setattr(users.os, "geteuid", lambda: 0)
    check_may_become(Identity("other", 1001, 1, (), "/"))


def test_a_signal_to_what_has_ended_says_so() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pidfd = Kernel().pidfd_open(pid)
    os.waitpid(pid, 0)
    with pytest.raises(ProcessLookupError):
        Kernel().pidfd_signal(pidfd, signal.SIGTERM)
    os.close(pidfd)
