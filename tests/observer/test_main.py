"""The program itself: flags, what it says, TLS, a clean stop."""

from __future__ import annotations

import re
import select
import signal
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from observer.main import command, host_names
from tests.observer.build import Builder, mesos_root

OBSERVER = [sys.executable, "-m", "observer.main"]
PATIENCE = 60.0


@contextmanager
def observer(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running observer and its address."""
    child = subprocess.Popen([*OBSERVER, "--port", "0", *words], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    try:
        yield child, _address(child)
    finally:
        child.kill()
        child.wait()
        child.stderr.close()


def _address(child: subprocess.Popen[str]) -> str:
    assert child.stderr is not None
    while True:
        ready, _, _ = select.select([child.stderr], [], [], PATIENCE)
        line = child.stderr.readline() if ready else ""
        assert line, "it says nothing"
        if (found := re.search(r" at (https?://\S+)", line)) is not None:
            return found[1]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops_cleanly(tmp_path: Path, signum: signal.Signals) -> None:
    made = Builder(tmp_path / "root")
    made.task("t")
    with observer("--root", str(made.root)) as (child, address):
        assert address.startswith("http://127.0.0.1:")
        stream = urllib.request.urlopen(f"{address}api/v1/events")
        with urllib.request.urlopen(f"{address}task/t") as answer:
            assert answer.status == 200
        child.send_signal(signum)
        assert child.wait(PATIENCE) == 0
        stream.close()


def test_tls(tmp_path: Path) -> None:
    pem = tmp_path / "pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", str(pem), "-out", str(tmp_path / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    words = ["--root", str(tmp_path / "root"), "--tls_cert", str(tmp_path / "cert"), "--tls-key", str(pem)]
    with observer(*words) as (_, address):
        assert address.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "cert"))
        context.check_hostname = False
        with urllib.request.urlopen(f"{address}health", context=context) as answer:
            assert answer.read() == b"OK"
            assert "max-age" in answer.headers["Strict-Transport-Security"]


def complaint(*words: str) -> tuple[int, str]:
    done = subprocess.run([*OBSERVER, *words], capture_output=True, text=True, timeout=PATIENCE)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


def test_one_clear_line_for_what_can_not_be(tmp_path: Path) -> None:
    with observer("--root", str(tmp_path)) as (_, address):
        port = address.rstrip("/").rpartition(":")[2]
        code, text = complaint("--root", str(tmp_path), "--port", port)
        assert (code, text.count("\n")) == (1, 0)
        assert text == f"thermos_observer: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert complaint("--port", "high")[0] == 2
    assert complaint("--tls_key", "x")[0] == 2
    code, text = complaint("--tls_cert", str(tmp_path / "none"))
    assert (code, "cannot use the certificate" in text) == (1, True)
    code, text = complaint("--basic_auth_file", str(tmp_path / "none"))
    assert (code, "cannot read" in text) == (1, True)


def test_old_flags_with_underscores_and_dashes() -> None:
    text = CliRunner().invoke(command, ["--help"]).output
    for name in (
        "mesos-root", "ip", "port", "polling_interval_secs", "disable_task_resource_collection",
        "task_process_collection_interval_secs", "task_disk_collection_interval_secs", "enable_mesos_disk_collector",
        "agent_api_url", "executor_id_json_path", "disk_usage_json_path",
    ):  # fmt: skip
        assert f"--{name}" in text
        assert f"--{name.replace('_', '-')}" in text


def test_old_flags_of_logging_are_named_and_ignored(tmp_path: Path) -> None:
    """As a unit file of the original has them."""
    words = ["--log_to_disk=NONE", "--log_to_stderr=google:INFO", "--log-dir", str(tmp_path), "--app_daemonize"]
    child = subprocess.Popen(
        [*OBSERVER, "--root", str(tmp_path), "--port", "0", *words], stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    try:
        lines = [child.stderr.readline() for _ in range(5)]
    finally:
        child.terminate()
        child.wait(PATIENCE)
        child.stderr.close()
    assert child.returncode == 0
    for flag, line in zip(("--log_to_disk", "--log_to_stderr", "--log_dir", "--app_daemonize"), lines, strict=False):
        assert line == f"thermos_observer: ignored: {flag} (it logs to standard error and stays in the foreground)\n"
    assert "observing" in lines[4]


def test_the_disk_interval_is_the_disk_interval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The original gave it to the time-out of the agent."""
    from observer import main
    from observer.host import Settings

    seen: list[Settings] = []

    async def record(places: object, settings: Settings, guard: object, listening: object) -> None:
        seen.append(settings)

    monkeypatch.setattr(main, "serve", record)
    words = ["--task_disk_collection_interval_secs", "7", "--task-process-collection-interval-secs", "3"]
    done = CliRunner().invoke(command, [*words, "--polling_interval_secs", "2", "--enable_mesos_disk_collector"])
    assert done.exit_code == 0, done.output
    assert (seen[0].disk_interval, seen[0].process_interval, seen[0].polling, seen[0].agent_disk) == (7, 3, 2, True)


def test_host_names_on_loopback() -> None:
    assert "localhost" in host_names(("127.0.0.1",), (), False)
    assert host_names(("127.0.0.1",), (), True) == frozenset()
    assert host_names(("0.0.0.0",), (), False) == frozenset()
    assert host_names(("127.0.0.1", "0.0.0.0"), (), False) == frozenset()
    assert {"127.0.0.11", "localhost"} <= host_names(("127.0.0.11",), (), False)
    assert "ops.example" in host_names(("0.0.0.0",), ("Ops.Example",), True)


def test_several_addresses_and_agents(tmp_path: Path) -> None:
    """As on a machine that plays several hosts: each answers under its own address, with the tasks of all."""
    work_dirs = [tmp_path / "agent0", tmp_path / "agent1"]
    for number, work_dir in enumerate(work_dirs):
        Builder(mesos_root(work_dir, f"e-{number}")).task(f"t{number}")
    words = [word for work_dir in work_dirs for word in ("--mesos-root", str(work_dir))]
    with observer("--ip", "127.0.0.11", "--ip", "127.0.0.12", *words) as (child, address):
        port = address.rstrip("/,").rpartition(":")[2]
        for host, task in (("127.0.0.11", "t1"), ("127.0.0.12", "t0")):
            with urllib.request.urlopen(f"http://{host}:{port}/task/{task}") as answer:
                assert answer.status == 200
        code, text = complaint("--root", str(tmp_path), "--ip", "127.0.0.1", "--ip", "127.0.0.12", "--port", port)
        assert (code, text) == (1, f"thermos_observer: cannot listen on 127.0.0.12:{port}: Address already in use")
        child.terminate()
        assert child.wait(PATIENCE) == 0


def test_the_verb_becomes_the_observer(tmp_path: Path) -> None:
    program = "from client.thermos.observer import command; command()"
    words = ["--root", str(tmp_path), "--port", "0"]
    child = subprocess.Popen([sys.executable, "-c", program, *words], stderr=subprocess.PIPE, text=True)
    try:
        assert _address(child).startswith("http://127.0.0.1:")
    finally:
        child.terminate()
        assert child.wait(PATIENCE) == 0
        assert child.stderr is not None
        child.stderr.close()
