"""Where a task's processes run, and as whom: made in a worker before the first of them starts.

    directory   <MESOS_DIRECTORY>/sandbox, 0700, of the role's user                            executor.directories
    Docker      the executor itself runs in the task's image                                   executor.containers
    image       processes are confined to a root at <MESOS_DIRECTORY>/taskfs and see the       executor.images
                sandbox at the mount point

    sandbox = plan_sandbox(…)   what is wrong with the plan is said at once
    sandbox.create()            in a worker; blocking; then path, image, user and setuid go into the runner's Settings
    sandbox.enter()             in the loop's thread before the task is owned, and in every thread that starts a process
                                in the sandbox (a shell check); quick, and twice is no harm

Source: spec/thermos.md §4.1, §4.4, §4.10.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from msgspec import structs

from executor.containers import DockerSandbox, inside_container
from executor.core.sandbox_plan import BadPlan, SandboxOptions, SandboxPlan, Volume, draw_plan
from executor.directories import DirectorySandbox, SandboxFailed
from executor.images import ImageSandbox
from mesos.executor_environment import ExecutorEnvironment
from thermos.host.spawn import ImageRoot
from thermos.host.users import Identity

__all__ = ["Sandbox", "SandboxFailed", "SandboxOptions", "SandboxPlan", "Volume", "make_sandbox", "plan_sandbox"]


class Sandbox(Protocol):
    """See the module."""

    path: Path  # where processes run, as the executor sees it
    image: ImageRoot | None  # the root that they are confined to
    user: Identity  # as whom they run
    setuid: bool  # that is somebody else than the executor

    def create(self) -> None:
        """What is there already is used. Raises SandboxFailed."""

    def enter(self) -> None:
        """Raises SandboxFailed."""


def plan_sandbox(
    role: str,
    container: Mapping[str, Any],
    environment: ExecutorEnvironment,
    options: SandboxOptions,
    executor_container: Mapping[str, Any] | None = None,
) -> Sandbox:
    """`container` of the task's config, `executor_container` as the agent gave it (ExecutorInfo.container). Raises
    SandboxFailed."""
    try:
        plan = draw_plan(role, container, executor_container, environment.directory, environment.sandbox, options)
    except BadPlan as bad:
        raise SandboxFailed(f"cannot make the sandbox: {bad}") from None
    if not plan.docker and inside_container(plan.directory, plan.mesos_sandbox):
        plan = structs.replace(plan, docker=True, image=False, owner=None)
    return make_sandbox(plan)


def make_sandbox(plan: SandboxPlan) -> Sandbox:
    if plan.docker:
        return DockerSandbox(plan)
    return ImageSandbox(plan) if plan.image else DirectorySandbox(plan)
