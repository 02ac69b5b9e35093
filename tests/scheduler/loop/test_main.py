"""The program itself: its flags in all spellings, what it says, its exit codes, a clean stop."""

from __future__ import annotations

import base64
import dataclasses
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from scheduler.flags import IGNORED, Flags
from scheduler.main import _two_dashes, main, make_command
from scheduler.store.backup import back_up
from scheduler.store.ops import SaveFrameworkId
from scheduler.store.sqlite_file import FILE_NAME
from scheduler.store.sqlite_journal import SqliteJournal
from scheduler.store.store import Store

SCHEDULER = [sys.executable, "-m", "scheduler.main"]
PATIENCE = 60.0

#: Nobody listens there: these schedulers wait for a master.
GIVEN = ("--cluster_name=rz1", "--mesos_master_address=127.0.0.1:9", "--http_port=0")

NO_DURATION = "is no duration such as 30secs, 5mins, 1hrs or 2days"


def flags(*words: str) -> Flags:
    """What a command line says."""
    command = make_command()
    found: list[Any] = []

    def take(teardown_framework: bool, yes: bool, restore_backup: Path | None, **given: Any) -> None:
        found.append(Flags(**given))

    command.callback = take
    command.main(_two_dashes(words), standalone_mode=False)
    return found[0]  # type: ignore[no-any-return]


def test_all_spellings() -> None:
    wanted = Flags(cluster_name="x", http_port=80, hold_offers_forever=True, partition_aware=False)
    assert flags("-cluster_name=x", "-http_port=80", "-hold_offers_forever=true", "-partition_aware=false") == wanted
    assert flags("-cluster_name", "x", "-http_port", "80", "-hold_offers_forever", "-partition_aware", "no") == wanted
    assert flags("--cluster-name=x", "--http-port=80", "--hold-offers-forever", "--partition-aware=0") == wanted
    assert flags("-thermos_executor_flags=--nosetuid -x").thermos_executor_flags == "--nosetuid -x"


def test_every_flag_has_its_default_and_a_help() -> None:
    assert flags() == Flags()
    for field in dataclasses.fields(Flags):
        assert field.metadata["words"].endswith("."), field.name
    assert not {field.name for field in dataclasses.fields(Flags)} & set(IGNORED)
    assert len(set(IGNORED)) == len(IGNORED)


def test_old_flags_are_accepted_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert flags(*(f"-{name}=1" for name in IGNORED)) == Flags()
    assert {record.message for record in caplog.records} == {
        f"ignored: --{name} (it has no meaning here)" for name in IGNORED
    }


def test_a_flag_that_would_protect_is_not_ignored() -> None:
    for words in (["-http_authentication_mechanism=NEGOTIATE"], ["-kerberos_server_keytab=x"]):
        with pytest.raises(click.ClickException):
            flags(*words)


@contextmanager
def running(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A scheduler and its address."""
    child = subprocess.Popen([*SCHEDULER, *GIVEN, *words], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    try:
        for line in child.stderr:
            if (found := re.search(r"serving cluster rz1 at (\S+)", line)) is not None:
                break
        else:
            raise AssertionError("it ended")
        yield child, found[1]
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def complaint(*words: str) -> tuple[int, str]:
    """Exit code and the last line of one that ends by itself."""
    done = subprocess.run([*SCHEDULER, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops_cleanly_without_a_master(tmp_path: Path, signum: signal.Signals) -> None:
    with running(f"--store={tmp_path}") as (child, url):
        with urllib.request.urlopen(f"{url}health") as answer:
            assert answer.read() == b"OK"
        child.send_signal(signum)
        assert child.wait(PATIENCE) == 0


def test_a_second_one_on_the_same_store_is_refused(tmp_path: Path) -> None:
    with running(f"--store={tmp_path}") as (child, _):
        command = [*SCHEDULER, *GIVEN, f"--store={tmp_path}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        who = f"another scheduler (pid {child.pid}) uses it; stop that one first"
        assert (done.returncode, done.stdout) == (6, "")
        assert done.stderr == f"aurora_scheduler: cannot use {tmp_path}: {who}\n", "one line"


def test_a_damaged_store_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this was a store once")
    code, line = complaint(*GIVEN, f"--store={tmp_path}")
    assert code == 1
    assert line.startswith(f"aurora_scheduler: cannot use {tmp_path / FILE_NAME}: file is not a database; stop here")
    assert (tmp_path / FILE_NAME).read_bytes() == b"this was a store once"


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        (["--cluster_name=x"], 2, "--mesos_master_address has to be given"),
        ([*GIVEN, "--no_such"], 2, "No such option '--no_such'. (see `aurora_scheduler --help`)"),
        ([*GIVEN, "more"], 2, "Got unexpected extra argument (more) (see `aurora_scheduler --help`)"),
        ([*GIVEN, "--tier_config=/nowhere"], 1, "cannot read /nowhere: No such file or directory"),
        ([*GIVEN, "--tier_config=/dev/null"], 3, "cannot use /dev/null: Input data was truncated"),
        ([*GIVEN, "--store=/dev/null/x"], 1, "cannot use /dev/null/x: Not a directory"),
        (
            [*GIVEN, "--backup_interval=5"],
            2,
            f"Invalid value for '--backup_interval': '5' {NO_DURATION} (see `aurora_scheduler --help`)",
        ),
    ],
)
def test_what_is_wrong_is_a_line(
    words: list[str], code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["aurora_scheduler", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    assert capsys.readouterr().err == f"aurora_scheduler: {line}\n"


def test_a_teardown_that_is_not_meant_or_not_possible(tmp_path: Path) -> None:
    words = [*SCHEDULER, *GIVEN, f"--store={tmp_path}", "--teardown_framework"]
    done = subprocess.run(words, input="rz2\n", capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert done.stderr.endswith("aurora_scheduler: nothing is torn down: that was not the cluster's name\n")
    code, line = complaint(*GIVEN, f"--store={tmp_path}", "--teardown_framework", "--yes")
    assert (code, line) == (0, "aurora_scheduler: there is no framework")


def test_a_backup_is_put_back(tmp_path: Path) -> None:
    store, backups = tmp_path / "store", tmp_path / "backups"
    journal = SqliteJournal(store)
    assert not list(journal.load())
    journal.append([SaveFrameworkId(framework_id="then")]).result(PATIENCE)
    backup = back_up(store, backups, "2026-11-26-13-00")
    journal.append([SaveFrameworkId(framework_id="now")]).result(PATIENCE)
    words = (*GIVEN, f"--store={store}", f"--restore_backup={backup}")
    code, line = complaint(*words)
    assert code == 6 and "another scheduler" in line
    journal.close()
    assert complaint(*words) == (0, f"aurora_scheduler: cluster rz1: {store} is made of {backup}")
    journal = SqliteJournal(store)
    assert Store(journal).tables.framework_id == "then"
    journal.close()
    assert (store / "journal.sqlite.replaced").exists()
    code, line = complaint(*GIVEN, f"--store={store}", f"--restore_backup={tmp_path / 'none'}")
    assert code == 1 and str(tmp_path / "none") in line
    assert complaint(*words, "--teardown_framework")[0] == 2


def test_a_port_in_use(tmp_path: Path) -> None:
    with running(f"--store={tmp_path / 'a'}") as (_, url):
        port = url.rstrip("/").rpartition(":")[2]
        code, line = complaint(*GIVEN, f"--store={tmp_path / 'b'}", f"--http_port={port}")
        assert (code, line) == (1, f"aurora_scheduler: cannot listen on 127.0.0.1:{port}: Address already in use")


def ask(url: str, user: str = "", body: bytes | None = None) -> int:
    """The status of an answer."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(user.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_users_are_read_anew_and_may_end_it(tmp_path: Path) -> None:
    users = tmp_path / "security.ini"
    users.write_text("[users]\nann = one, admin\n[roles]\nadmin = *\n")
    users.chmod(0o600)
    basic = ("--http_authentication_mechanism=BASIC", f"--shiro_ini_path={users}")
    with running(f"--store={tmp_path / 'store'}", *basic) as (child, url):
        assert child.stderr is not None
        assert ask(f"{url}quitquitquit", body=b"{}") == 401
        assert ask(f"{url}quitquitquit", "ann:two", b"{}") == 401
        for text, said in (("[users", "the users stay as they were"), ("[users]\nann = two, admin\n", "anew")):
            users.write_text(f"{text}[roles]\nadmin = *\n")
            child.send_signal(signal.SIGHUP)
            assert next(line for line in child.stderr if "users" in line).rstrip().endswith(said)
        assert ask(f"{url}quitquitquit", "ann:one", b"{}") == 401
        assert ask(f"{url}quitquitquit", "ann:two", b"{}") == 200
        assert child.wait(PATIENCE) == 0
    users.write_text("[users")
    code, line = complaint(*GIVEN, f"--store={tmp_path / 'store'}", *basic)
    assert (code, str(users) in line) == (3, True)


@pytest.mark.parametrize(
    ("ip", "level", "who"),
    [
        ("0.0.0.0", "WARNING", "everybody who can reach 0.0.0.0:0"),
        ("127.0.0.1", "INFO", "everybody on this machine"),
    ],
)
def test_without_users_it_says_who_may_change_everything(
    ip: str, level: str, who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def serve(settings: object, store: Store) -> None:
        await store.close()

    monkeypatch.setattr("scheduler.main.serve", serve)
    monkeypatch.setattr(sys, "argv", ["aurora_scheduler", *GIVEN, f"--ip={ip}", f"--store={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        main()
    line = f"{who} may change everything; see --http_authentication_mechanism"
    assert (ended.value.code, caplog.record_tuples[-1][2]) == (0, line)
    assert caplog.records[-1].levelname == level


@pytest.mark.parametrize("is_journal", [False, True])
def test_lines_have_their_moment_unless_the_journal_has_it(is_journal: bool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        there = os.fstat(file.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{there.st_dev}:{there.st_ino + (not is_journal)}"}
        command = [*SCHEDULER, *GIVEN, "--mesos_driver=x", "--store=/dev/null/x"]
        done = subprocess.run(command, stderr=file, env=environment, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    moment = "" if is_journal else r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} "
    first, last = log.read_text().splitlines()
    assert re.fullmatch(rf"aurora_scheduler: {moment}warning: ignored: --mesos_driver \(.*\)", first)
    assert last.startswith("aurora_scheduler: cannot ")
