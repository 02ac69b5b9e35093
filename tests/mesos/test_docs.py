"""docs/mesos.md: its samples run as they stand there (at addresses of their own), its commands are understood, what it
names is there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mesos.local.__main__ import make_cluster, parse_arguments
from mesos.local.cluster import LocalCluster
from mesos.local.faults import Way
from tests.mesos.local.rim.wire import until
from tests.mesos.ports import own_port

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "mesos.md").read_text()
PORT = own_port()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
SCHEDULER, CLUSTER, SIMULATION = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"the sample does not say {old!r} any more"
    return text.replace(old, new)


def run(sample: str, folder: Path) -> str:
    """What it prints."""
    done = subprocess.run(
        [sys.executable, "-c", sample], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_scheduler_subscribes_and_declines_what_it_is_offered(tmp_path: Path) -> None:
    sample = replaced(SCHEDULER, "zk://zk1:2181,zk2:2181/mesos", f"http://127.0.0.1:{PORT}")

    async def main() -> None:
        async with asyncio.timeout(60), LocalCluster(tmp_path, PORT, agents=1) as cluster:
            declines = cluster.faults.duplicate(Way.FROM_SCHEDULER, kind="DECLINE", times=1)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", sample, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            assert process.stdout is not None
            try:
                assert re.fullmatch(rb"we are [0-9a-f-]{36}-0000\n", await process.stdout.readline())
                await until(lambda: declines.fired, what="DECLINE")
                assert process.returncode is None
            finally:
                process.kill()
                await process.wait()
            assert await process.stdout.read() == b""

    asyncio.run(main())


def test_the_cluster(tmp_path: Path) -> None:
    assert run(replaced(CLUSTER, "port=5050", f"port={PORT}"), tmp_path) == f"http://127.0.0.1:{PORT}\n"
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["agent0", "agent1"]


def test_the_simulation(tmp_path: Path) -> None:
    assert run(replaced(SIMULATION, "agents=30_000", "agents=300"), tmp_path) == "300\n"


@pytest.mark.parametrize("command", re.findall(r"^    python -m mesos\.local (.*)$", TEXT, re.MULTILINE))
def test_commands_are_understood(command: str, tmp_path: Path) -> None:
    cluster = make_cluster(parse_arguments(shlex.split(command)), tmp_path)
    assert (cluster.port, cluster.agents) == (5050, 2)


def test_what_it_names_is_there() -> None:
    paths = re.findall(r"(?:tests|mesos|docs)/[a-z_0-9/]+(?:\.(?:py|md))?", TEXT)
    assert len(paths) > 5
    for path in paths:
        assert (ROOT / path).exists() or (ROOT / f"{path}.py").exists(), path
