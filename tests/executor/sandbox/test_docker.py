"""Inside an image that Mesos' Docker containerizer started: one path on both sides, its user, and Python."""

from __future__ import annotations

import json
import secrets
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from executor.containers import DockerSandbox, inside_container
from executor.core.oci_config import ContainerSpec, HostVolume
from executor.directories import SandboxFailed
from executor.oci import Ended, find_runtime
from tests.executor.sandbox.conftest import ROOT, USER, RunDirectory, python_as_user, root_only
from thermos.host.kernel import Kernel
from thermos.host.users import current_user, resolve_user
from thermos.model import ProcessSpec, TaskSpec
from thermos.monitor.follow import read_task
from thermos.paths import TaskPaths


@pytest.fixture
def mounted(place: Path) -> Path:
    mounted = place / "mnt" / "mesos" / "sandbox"
    mounted.mkdir(parents=True, mode=0o700)
    return mounted


def test_the_hosts_path_leads_to_the_mounted_sandbox(place: Path, mounted: Path) -> None:
    directory = RunDirectory(place / "var" / "lib" / "mesos" / "runs" / "1")
    sandbox = DockerSandbox(directory.plan(mesos_sandbox=str(mounted), docker=True))
    sandbox.create()
    assert directory.path.readlink() == mounted and stat.S_IMODE(mounted.stat().st_mode) == 0o755
    assert (mounted / "sandbox" / ".logs").is_dir() and sandbox.path == directory.sandbox
    assert (sandbox.user, sandbox.setuid, sandbox.image) == (current_user(), False, None)
    sandbox.create()  # twice is no harm
    sandbox.enter()


def test_nothing_to_link(run: RunDirectory) -> None:
    """The same path on both sides."""
    DockerSandbox(run.plan(docker=True)).create()
    assert run.sandbox.is_dir() and not run.path.is_symlink()


def test_something_else_is_there(run: RunDirectory, mounted: Path) -> None:
    with pytest.raises(SandboxFailed) as caught:
        DockerSandbox(run.plan(docker=True, mesos_sandbox=str(mounted))).create()
    assert str(caught.value) == (
        f"cannot use MESOS_DIRECTORY {run.path}: it is not the same as MESOS_SANDBOX {mounted}"
    )


def test_no_mounted_sandbox(run: RunDirectory, place: Path) -> None:
    with pytest.raises(SandboxFailed, match=r"cannot use MESOS_SANDBOX .*: No such file or directory"):
        DockerSandbox(run.plan(docker=True, mesos_sandbox=str(place / "nothing"))).create()


def test_the_run_directory_can_not_be_made(place: Path, mounted: Path) -> None:
    (place / "file").write_text("")
    directory = RunDirectory(place / "file" / "runs" / "1")
    with pytest.raises(SandboxFailed, match=r"cannot make .* lead to .*: Not a directory"):
        DockerSandbox(directory.plan(docker=True, mesos_sandbox=str(mounted))).create()


@root_only
@pytest.mark.parametrize(("mode", "said"), [(0o777, "made\n"), (0o755, "cannot use MESOS_SANDBOX")])
def test_a_container_whose_user_is_not_root(place: Path, mounted: Path, mode: int, said: str) -> None:
    """The directory is root's: it is used as it is, where that is possible."""
    mounted.chmod(mode)
    place.chmod(0o777)
    code = """
try:
    make_sandbox(SandboxPlan(sys.argv[1], sys.argv[2], None, docker=True)).create()
    print("made")
except SandboxFailed as error:
    print(error)
"""
    assert python_as_user(code, str(place / "runs" / "1"), str(mounted)).startswith(said)
    assert mode == 0o755 or (mounted / "sandbox").stat().st_uid == resolve_user(USER).uid


def test_a_container_is_told_by_a_directory_that_it_lacks(run: RunDirectory) -> None:
    assert inside_container("/no/such/run", str(run.path))
    assert not inside_container(str(run.path), str(run.path))
    assert not inside_container("/no/such/run", "/no/such/run")
    assert not inside_container(str(run.path), "/tmp")


# --- find-python.sh: the shell that runs it may be a small image's ----------------------------------------------------


def find_python(shell: list[str], path: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """With `path` in place of the usual directories."""
    text = (ROOT / "executor" / "find-python.sh").read_text().replace("/usr/local/bin:/usr/bin:/bin", "/nowhere")
    words = [*shell, "-c", f'{text}\nfind_python || exit 69\necho "$python"\n']
    return subprocess.run(words, env={"PATH": str(path), **environ}, capture_output=True, text=True, check=False)


@pytest.fixture(params=["dash", "busybox"])
def shell(request: pytest.FixtureRequest) -> list[str]:
    found = shutil.which(request.param)
    assert found is not None, f"{request.param} is missing: scripts/setup-containers installs busybox"
    return [found, "sh"] if request.param == "busybox" else [found]


def test_a_python_that_will_do(shell: list[str], tmp_path: Path) -> None:
    (tmp_path / "python3").symlink_to(sys.executable)
    done = find_python(shell, tmp_path)
    assert done.returncode == 0 and Path(done.stdout.strip()).samefile(sys.executable)


def test_an_image_without_python_gets_one_line(shell: list[str], tmp_path: Path) -> None:
    done = find_python(shell, tmp_path, MESOS_DIRECTORY="/no/such/directory")
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr == (
        "cannot start thermos_executor: this container's image has no Python 3.11 or newer (none at all); "
        "install one, or name it in THERMOS_PYTHON\n"
    )


def test_an_old_or_broken_one_is_named(shell: list[str], tmp_path: Path) -> None:
    for name, text in (("python3", "#!/bin/sh\necho 3.9.2; exit 1\n"), ("python3.11", "#!/no/such/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    done = find_python(shell, tmp_path, MESOS_DIRECTORY=str(tmp_path))
    assert done.stderr == (
        f"cannot start thermos_executor: this host has no Python 3.11 or newer ({tmp_path}/python3 is 3.9.2, "
        f"{tmp_path}/python3.11 is no Python that works); install one, or name it in THERMOS_PYTHON\n"
    )


# --- for real -----------------------------------------------------------------------------------------------------


@root_only
def test_a_task_of_an_executor_that_runs_inside_of_its_image(run: RunDirectory, place: Path) -> None:
    """A container whose image has Python, as the agent's Docker would start it; the log is read on the host."""
    runtime = find_runtime("runc", place / "bundles")
    root = place / "root"
    shared = {"/usr", str(ROOT), sys.base_prefix}
    for name in ("/bin", "/lib", "/lib64", "/sbin"):
        if Path(name).is_symlink():
            root.mkdir(exist_ok=True)
            (root / name[1:]).symlink_to(Path(name).readlink())
        elif Path(name).exists():
            shared.add(name)
    (root / "tmp").mkdir()
    directory = "/var/lib/mesos/runs/1"
    plan = {"directory": directory, "mesos_sandbox": "/mnt/mesos/sandbox", "owner": None, "docker": True}
    spec = TaskSpec(name="t", processes=(ProcessSpec(name="p", cmdline="echo hello from $PWD; echo x > file"),))
    task = (json.dumps(plan), msgspec.json.encode(spec).decode(), f"{directory}/checkpoints")
    volumes = [HostVolume(path, path, read_only=True) for path in sorted(shared)]
    container = runtime.start(
        ContainerSpec(
            name=f"thermos-test-{secrets.token_hex(4)}",
            root=str(root),
            command=(sys.executable, "-m", "tests.executor.sandbox.one_task", *task),
            environment={"PATH": "/bin:/usr/bin"},
            directory=str(ROOT),
            volumes=(*volumes, HostVolume(str(run.path), "/mnt/mesos/sandbox")),
        )
    )
    try:
        assert container.wait(60) == Ended(0, None)
    finally:
        container.remove()
    assert (run.sandbox / ".logs" / "p" / "0" / "stdout").read_text() == "hello from /mnt/mesos/sandbox/sandbox\n"
    assert (run.sandbox / "file").read_text() == "x\n" and (run.path / "checkpoints").is_dir()
    header = read_task(TaskPaths(run.path / "checkpoints", "task-1"), Kernel()).task.header
    assert header is not None and header.sandbox == f"{directory}/sandbox"
