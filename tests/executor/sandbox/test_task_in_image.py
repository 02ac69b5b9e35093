"""A real task in an image: coordinators confine its processes, logs lie outside, and nothing survives on the host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from client.thermos.minding import settings_of
from tests.executor.sandbox.conftest import ROOT, USER, RunDirectory, mounts, root_only, who_sees
from thermos.core.records import Header
from thermos.host.kernel import Kernel
from thermos.host.spawn import ImageRoot, OrderForm, RunOrder, Settings
from thermos.host.users import current_user, resolve_user
from thermos.model import ProcessSpec, TaskSpec
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths

NOBODY = resolve_user(USER)


class Task:
    def __init__(self, run: RunDirectory, command: str, **fields: Any) -> None:
        self.run = run
        plan = {"directory": str(run.path), "mesos_sandbox": str(run.path), "owner": USER, "image": True} | fields
        spec = TaskSpec(name="t", processes=(ProcessSpec(name="p", cmdline=command),), finalization_wait=1)
        self.root = run.path / "checkpoints"
        words = [json.dumps(plan), msgspec.json.encode(spec).decode(), str(self.root)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.executor.sandbox.one_task", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def log(self, name: str = "stdout") -> str:
        path = self.run.sandbox / ".logs" / "p" / "0" / name
        return path.read_text() if path.exists() else ""

    def finish(self) -> str:
        return self.process.communicate(timeout=60)[0].strip()


@pytest.fixture
def begin(run: RunDirectory) -> Iterator[Callable[..., Task]]:
    run.make_image()
    tasks: list[Task] = []

    def begin(command: str, **fields: Any) -> Task:
        tasks.append(Task(run, command, **fields))
        return tasks[-1]

    yield begin
    for task in tasks:
        task.process.kill()
        task.process.communicate()
    await_that(lambda: not who_sees(run.path), "processes of the image are gone")
    assert not mounts(run.path)


def await_that(holds: Callable[[], Any], what: str) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit, f"not in time: {what}"
        time.sleep(0.02)


@root_only
def test_hello_from_inside(begin: Callable[..., Task], run: RunDirectory, place: Path) -> None:
    data = place / "data"
    data.mkdir()
    (data / "word").write_text("a volume's word\n")
    task = begin(
        f"echo hello; id -u; pwd; ls /; echo $HOME $USER; cat {data}/word; echo x > file; echo y > {data}/no; "
        "cat .thermos_profile",
        volumes=[{"path": str(data), "read_only": True}],
    )
    assert task.finish() == "SUCCESS" or task.log("stderr")
    top = str(place).split("/")[1]
    names = sorted({"bin", "dev", "etc", "mnt", "proc", "sys", "tmp", top})
    assert task.log().splitlines() == [
        "hello",
        str(NOBODY.uid),
        "/mnt/mesos/sandbox",
        *names,
        f"/mnt/mesos/sandbox {USER}",
        "a volume's word",
    ]
    assert "Read-only file system" in task.log("stderr")
    assert (run.sandbox / "file").read_text() == "x\n" and (run.sandbox / "file").stat().st_uid == NOBODY.uid
    header = read_task(TaskPaths(task.root, "task-1"), Kernel()).task.header
    assert header is not None and (header.image, header.image_sandbox) == (str(run.image), "/mnt/mesos/sandbox")


@root_only
def test_an_executor_is_killed(begin: Callable[..., Task], run: RunDirectory) -> None:
    """Its coordinators stop everything, and with the last process the mounts are forgotten."""
    task = begin("echo up; (sleep 1000 &) ; sleep 1000")
    await_that(lambda: task.log() == "up\n", "the process runs")
    await_that(lambda: len(who_sees(run.path)) >= 4, "executor, coordinator, two sleeps")
    assert task.process.pid in who_sees(run.path)
    task.process.send_signal(signal.SIGKILL)
    task.process.wait()
    await_that(lambda: not who_sees(run.path), "nothing of it is left")
    assert os.listdir(run.image / "mnt" / "mesos" / "sandbox") == []  # noqa: PTH208


@root_only
def test_an_image_that_can_not_be_used_is_said(begin: Callable[..., Task], run: RunDirectory) -> None:
    (run.image / "bin" / "bash").unlink()
    task = begin("echo hello")
    assert task.finish() == "cannot run the task in its image: it has no /bin/bash, which runs command lines"


def test_orders(tmp_path: Path) -> None:
    """The profile of the sandbox is read where processes see it."""
    image = ImageRoot(Path("/run/1/taskfs"), "/mnt/mesos/sandbox")
    settings = Settings(tmp_path, tmp_path / ".logs", current_user(), "h", image=image, path="/bin")
    (tmp_path / ".thermos_profile").write_text("export X=1\n")
    order = RunOrder(ProcessSpec(name="p", cmdline="true"), 0, "n", 0, 0, 1.0, (1, 1))
    fields = OrderForm(settings).render(order).decode().split("\0")
    for field in (
        "chroot=/run/1/taskfs",
        "cwd=/mnt/mesos/sandbox",
        "env=HOME=/mnt/mesos/sandbox",
        "env=BASH_ENV=/mnt/mesos/sandbox/.thermos_profile",
        f"log_base={tmp_path}",
    ):
        assert field in fields


@pytest.mark.parametrize("image", [None, ImageRoot(Path("/run/1/taskfs"), "/mnt/mesos/sandbox")])
def test_who_takes_a_task_over_knows_its_image(image: ImageRoot | None) -> None:
    header = Header(
        at=0, mono=0, format=1, task_id="t", sandbox="/s", log_dir="/s/.logs", hostname="h", user="root", uid=0,
        image=str(image.path) if image is not None else "", image_sandbox=image.sandbox if image is not None else "",
    )  # fmt: skip
    assert settings_of(header).image == image
