"""The directory sandbox: whose it is, who may look inside, and what others may have put in its place."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from executor.core.sandbox_plan import SandboxOptions
from executor.directories import DirectorySandbox, SandboxFailed
from executor.sandbox import plan_sandbox
from mesos.executor_environment import ExecutorEnvironment
from tests.executor.sandbox.conftest import USER, RunDirectory, python_as_user, root_only
from thermos.host.users import current_user, resolve_user

NOBODY = resolve_user(USER)


def seen(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@root_only
def test_both_directories_and_the_logs_are_the_users(run: RunDirectory) -> None:
    sandbox = DirectorySandbox(run.plan(owner=USER))
    sandbox.create()
    sandbox.enter()
    assert seen(run.sandbox) == (NOBODY.uid, NOBODY.gid, 0o700)
    assert seen(run.path) == (NOBODY.uid, NOBODY.gid, 0o755)
    assert seen(run.sandbox / ".logs") == (NOBODY.uid, NOBODY.gid, 0o755)
    assert (sandbox.path, sandbox.image, sandbox.user, sandbox.setuid) == (run.sandbox, None, NOBODY, True)


def test_without_an_owner_it_is_ours(run: RunDirectory) -> None:
    """--nosetuid"""
    sandbox = DirectorySandbox(run.plan())
    sandbox.create()
    assert seen(run.sandbox)[:2] == (os.geteuid(), os.getegid()) and run.sandbox.is_dir()
    assert (sandbox.user, sandbox.setuid) == (current_user(), False)


def test_our_own_user_needs_no_rights(run: RunDirectory) -> None:
    sandbox = DirectorySandbox(run.plan(owner=current_user().name))
    sandbox.create()
    assert seen(run.sandbox) == (os.geteuid(), os.getegid(), 0o700)
    assert not sandbox.setuid


def test_a_user_who_does_not_exist(run: RunDirectory) -> None:
    with pytest.raises(SandboxFailed) as caught:
        DirectorySandbox(run.plan(owner="no-such-user")).create()
    assert str(caught.value) == "Could not create sandbox because user does not exist: no-such-user"
    assert not run.sandbox.exists()


@root_only
def test_a_second_time_changes_nothing(run: RunDirectory) -> None:
    DirectorySandbox(run.plan(owner=USER)).create()
    (run.sandbox / "kept").write_text("x")
    DirectorySandbox(run.plan(owner=USER)).create()
    assert (run.sandbox / "kept").read_text() == "x" and seen(run.sandbox)[2] == 0o700


@root_only
@pytest.mark.parametrize("name", ["sandbox", "sandbox/.logs"])
def test_a_link_in_its_place(run: RunDirectory, vault: Path, name: str) -> None:
    """The run directory is the user's own when an executor starts there a second time."""
    (run.path / name).parent.mkdir(exist_ok=True)
    (run.path / name).symlink_to(vault)
    with pytest.raises(SandboxFailed) as caught:
        DirectorySandbox(run.plan(owner=USER)).create()
    assert str(caught.value) == f"cannot use {run.path / name}: it is a symbolic link, and was there before us"


def test_a_file_in_its_place(run: RunDirectory) -> None:
    run.sandbox.write_text("")
    with pytest.raises(SandboxFailed, match=r"sandbox: it is no directory, and was there before us$"):
        DirectorySandbox(run.plan()).create()


def test_no_run_directory(run: RunDirectory) -> None:
    run.path.rmdir()
    with pytest.raises(SandboxFailed) as caught:
        DirectorySandbox(run.plan()).create()
    assert str(caught.value) == f"cannot open {run.path}: No such file or directory"


AS_NOBODY = ": the executor runs as nobody; start it as root, or with --nosetuid"

_UNPRIVILEGED = """
plan = SandboxPlan(**json.loads(sys.argv[1]))
sandbox = make_sandbox(plan)
try:
    sandbox.create()
except SandboxFailed as error:
    print(error)
else:
    print(sandbox.user.name, sandbox.setuid, oct(os.stat(sandbox.path).st_mode))
"""


@root_only
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"owner": USER}, f"{USER} False 0o40700"),
        ({"owner": None}, f"{USER} False 0o40755"),
        (
            {"owner": "daemon"},
            "cannot give {run} to user daemon: Operation not permitted" + AS_NOBODY,
        ),
        (
            {"owner": None, "image": True},
            "cannot run the task in an image: only root may mount and chroot, this runs as nobody",
        ),
    ],
)
def test_an_executor_that_is_not_root(run: RunDirectory, fields: dict[str, Any], said: str) -> None:
    os.chown(run.path, NOBODY.uid, NOBODY.gid)
    plan = {"directory": str(run.path), "mesos_sandbox": str(run.path), **fields}
    assert python_as_user(_UNPRIVILEGED, json.dumps(plan)).strip() == said.format(run=run.path)


@root_only
def test_a_run_directory_that_is_not_ours(run: RunDirectory) -> None:
    plan = {"directory": str(run.path), "mesos_sandbox": str(run.path), "owner": None}
    said = python_as_user(_UNPRIVILEGED, json.dumps(plan)).strip()
    assert said == f"cannot make directory {run.sandbox}: Permission denied"


def environment(directory: Path, sandbox: Path) -> ExecutorEnvironment:
    return ExecutorEnvironment("127.0.0.1:5051", "f", "e", str(directory), str(sandbox))


@pytest.mark.parametrize(
    ("container", "kind"),
    [
        ({}, "DirectorySandbox"),
        ({"mesos": {"volumes": []}}, "DirectorySandbox"),
        ({"mesos": {"image": {"appc": {"name": "x", "imageId": "y"}}}}, "ImageSandbox"),
        ({"docker": {"image": "x"}}, "DockerSandbox"),
    ],
)
def test_which_it_is(run: RunDirectory, container: dict[str, Any], kind: str) -> None:
    made = plan_sandbox("www", container, environment(run.path, run.path), SandboxOptions())
    assert type(made).__name__ == kind and made.path == run.sandbox


def test_inside_of_a_container_it_is_docker_whatever_the_task_says(run: RunDirectory) -> None:
    made = plan_sandbox("www", {}, environment(Path("/no/such/run"), run.path), SandboxOptions())
    assert type(made).__name__ == "DockerSandbox"


def test_a_plan_that_can_not_be(run: RunDirectory) -> None:
    container = {"mesos": {"image": {"docker": {}}}}
    with pytest.raises(SandboxFailed) as caught:
        plan_sandbox("www", container, environment(run.path, run.path), SandboxOptions(mount_point="here"))
    assert str(caught.value) == "cannot make the sandbox: --sandbox-mount-point: 'here' is no absolute path"
