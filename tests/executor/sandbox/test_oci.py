"""Containers through runc and podman, for real, in a root of nothing but busybox; and what they are told."""

from __future__ import annotations

import json
import os
import resource
import secrets
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executor import oci
from executor.core.oci_config import CAPABILITIES, ContainerSpec, HostVolume, render_config
from executor.oci import Container, ContainerFailed, Ended, Runtime, create_words, ended, find_runtime
from tests.executor.sandbox.conftest import make_image, mounts, root_only
from thermos.errors import HostError, UserError

Start = Callable[..., Container]


@pytest.fixture(params=["runc", "podman"])
def runtime(request: pytest.FixtureRequest, place: Path) -> Runtime:
    assert oci._find(request.param), f"{request.param} is missing: scripts/setup-containers installs it"
    return find_runtime(request.param, place / "bundles")


@pytest.fixture
def start(runtime: Runtime, place: Path) -> Iterator[Start]:
    """Containers of the test; nothing of them is left afterwards."""
    make_image(place / "root")
    containers: list[Container] = []

    def start(command: str, **fields: Any) -> Container:
        name = f"thermos-test-{secrets.token_hex(4)}"
        words = ("/bin/sh", "-c", command) if command else ("/no/such/program",)
        spec = ContainerSpec(name=name, root=str(place / "root"), command=words, **fields)
        with open(place / "stdout", "wb") as out, open(place / "stderr", "wb") as err:
            containers.append(runtime.start(spec, stdout=out.fileno(), stderr=err.fileno()))
        return containers[-1]

    yield start
    for container in containers:
        container.remove()
        runtime.remove(container.spec.name)  # and none of that name is well
    assert not mounts(place)
    assert not list((place / "bundles").glob("*"))


def await_text(path: Path, text: str) -> None:
    limit = time.monotonic() + 20
    while text not in path.read_text():
        assert time.monotonic() < limit, path.read_text()
        time.sleep(0.02)


@root_only
def test_a_container_runs_and_tells_how_it_ended(start: Start, place: Path) -> None:
    (place / "in").mkdir(mode=0o777)
    (place / "in").chmod(0o777)
    (place / "word").write_text("of the host\n")
    container = start(
        "echo $GREETING; id -u; pwd; cat /word; echo x > /data/file; echo y > /word; hostname; exit 7",
        environment={"GREETING": "hello", "PATH": "/bin"},
        directory="/tmp",
        uid=65534,
        gid=65534,
        volumes=(HostVolume(str(place / "in"), "/data"), HostVolume(str(place / "word"), "/word", read_only=True)),
        memory=64 << 20,
        cpus=0.5,
        most_processes=50,
    )
    assert select.select([container], [], [], 20)[0]  # what a loop would wait for
    assert container.wait(20) == Ended(7, None)
    assert (place / "stdout").read_text().splitlines()[:4] == ["hello", "65534", "/tmp", "of the host"]
    assert "Read-only file system" in (place / "stderr").read_text()
    assert (place / "in" / "file").stat().st_uid == 65534 and (place / "word").read_text() == "of the host\n"


@root_only
def test_a_container_is_killed(start: Start, place: Path) -> None:
    container = start("trap 'echo asked; trap - TERM' TERM; echo up; while :; do sleep 0.1; done")
    await_text(place / "stdout", "up")
    assert container.wait(0) is None
    container.kill(signal.SIGTERM)
    await_text(place / "stdout", "asked")
    container.kill(signal.SIGKILL)
    assert container.wait(20) == Ended(None, 9)
    container.kill(signal.SIGKILL)  # it has ended: nothing to do


@root_only
def test_a_container_is_removed_while_it_runs(start: Start, runtime: Runtime, place: Path) -> None:
    """By its name alone, as whoever comes after a dead executor would."""
    container = start("echo up; sleep 1000")
    await_text(place / "stdout", "up")
    runtime.remove(container.spec.name)
    assert container.wait(20) == Ended(None, 9)


@root_only
def test_a_command_that_is_not_there(start: Start) -> None:
    with pytest.raises(ContainerFailed, match=r"^cannot start container thermos-test-[0-9a-f]+: .*no such file"):
        start("")


@root_only
def test_a_name_that_is_taken(start: Start, runtime: Runtime) -> None:
    container = start("sleep 1000")
    with pytest.raises(ContainerFailed):
        runtime.start(container.spec)
    assert container.wait(0) is None  # the first one is none the worse for it


# --- without a runtime --------------------------------------------------------------------------------------------

SPEC = ContainerSpec(name="c", root="/root", command=("/bin/true",))


def test_root_of_a_container_can_do_little_and_others_nothing() -> None:
    root, other = render_config(SPEC), render_config(ContainerSpec("c", "/r", ("x",), uid=7, groups=(8, 9)))
    assert root["process"]["capabilities"]["effective"] == list(CAPABILITIES)
    assert not any("SYS_ADMIN" in name or "RAW" in name for name in CAPABILITIES)
    assert set(map(len, other["process"]["capabilities"].values())) == {0}
    assert other["process"]["user"] == {"uid": 7, "gid": 0, "additionalGids": [8, 9]}
    assert root["process"]["noNewPrivileges"] and json.dumps(root)


def test_limits_and_networks() -> None:
    spec = ContainerSpec("c", "/r", ("x",), memory=1 << 20, cpus=1.5, most_processes=10, host_network=False)
    config = render_config(spec)
    assert config["linux"]["resources"]["memory"] == {"limit": 1 << 20}
    assert config["linux"]["resources"]["cpu"] == {"quota": 150_000, "period": 100_000}
    assert config["linux"]["resources"]["pids"] == {"limit": 10}
    assert {"type": "network"} in config["linux"]["namespaces"]
    assert {"type": "network"} not in render_config(SPEC)["linux"]["namespaces"]
    words = create_words(spec)
    assert {"--memory=1048576b", "--cpus=1.5", "--pids-limit=10", "--network=none"} <= set(words)
    assert "--network=host" in create_words(SPEC) and words[-3:] == ["--rootfs", "/r", "x"]


def test_no_limit_is_above_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 512))
    assert oci._within_limits(SPEC).nofile == (512, 512)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    assert oci._within_limits(SPEC).nofile == (1024, 1024)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (0, Ended(0, None)),
        (7, Ended(7, None)),
        (128, Ended(128, None)),
        (137, Ended(None, 9)),
        (143, Ended(None, 15)),
        (255, Ended(255, None)),
        (-9, Ended(None, 9)),
    ],
)
def test_exit_codes(code: int, how: Ended) -> None:
    assert ended(code) == how


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-rf", "a b", "a\n"])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    spec = ContainerSpec(name=name, root="/r", command=("x",))
    with pytest.raises(UserError, match="bad name of a container"):
        create_words(spec)
    with pytest.raises(UserError, match="bad name of a container"):
        oci.Runc("/bin/false", tmp_path).start(spec)


def test_a_comma_would_be_another_option() -> None:
    spec = ContainerSpec("c", "/r", ("x",), volumes=(HostVolume("/a,readonly", "/b"),))
    with pytest.raises(ContainerFailed, match=r"podman can't have commas there"):
        create_words(spec)


@root_only
def test_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci, "_find", lambda program: None)
    with pytest.raises(HostError, match=r"^cannot run containers: neither runc nor podman is installed"):
        find_runtime()
    with pytest.raises(HostError, match=r"^cannot run containers: podman is not installed"):
        find_runtime("podman")
    with pytest.raises(UserError, match=r"^cannot run containers with docker: use runc or podman"):
        find_runtime("docker")


@root_only
def test_the_first_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oci, "_find", lambda program: f"/bin/{program}")
    assert find_runtime().name == "runc"
    monkeypatch.setattr(oci, "_find", lambda program: "/bin/podman" if program == "podman" else None)
    assert find_runtime().name == "podman"


def test_only_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(HostError, match=r"^cannot run containers: only root may$"):
        find_runtime()


@pytest.mark.parametrize("program", ["/no/such/runc", "/bin/false"])
def test_a_runtime_that_does_not_work(tmp_path: Path, program: str) -> None:
    with pytest.raises(ContainerFailed):
        oci.Podman(program, None).start(SPEC)
    with pytest.raises(ContainerFailed):
        oci.Runc(program, tmp_path).remove("c")


def test_a_runtime_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*words: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ContainerFailed, match=r"^podman does not answer$"):
        oci.Podman("/usr/bin/podman", None).remove("c")
