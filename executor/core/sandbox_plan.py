"""What kind of sandbox a task gets, from what the scheduler and the flags say. Nothing is looked at or made here.

Source: spec/thermos.md §4.1, §4.4; spec/scheduler.md §1.3 (the container union), Mesos' ContainerInfo.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any

from msgspec import Struct

#: Where Mesos puts the root of a task's image, below MESOS_DIRECTORY.
IMAGE_ROOT = "taskfs"

MOUNT_POINT = "/mnt/mesos/sandbox"


class SandboxOptions(Struct, frozen=True):
    """Flags of the executor."""

    nosetuid: bool = False  # processes run as the executor does, and the sandbox stays the executor's
    execute_as_user: str | None = None  # in place of the role
    no_create_user: bool = False  # images have the user already
    mount_point: str = MOUNT_POINT  # of the sandbox in an image


class Volume(Struct, frozen=True):
    """A directory or file that the executor sees at `path`, and the task shall see there, too."""

    path: str
    read_only: bool = False


class SandboxPlan(Struct, frozen=True):
    """What to make. `owner` is a name: looking it up may take its time."""

    directory: str  # MESOS_DIRECTORY
    mesos_sandbox: str  # MESOS_SANDBOX: the same as seen in a container, if there is one
    owner: str | None  # whose the sandbox is and who runs in it; None: whoever the executor is
    docker: bool = False
    image: bool = False
    volumes: tuple[Volume, ...] = ()
    mount_point: str = MOUNT_POINT
    create_user: bool = True


class BadPlan(ValueError):
    """The text says what can't be used, as the end of a sentence."""


def draw_plan(
    role: str,
    container: Mapping[str, Any],
    executor_container: Mapping[str, Any] | None,
    directory: str,
    mesos_sandbox: str,
    options: SandboxOptions,
) -> SandboxPlan:
    """`container` is the task's (JSON of the scheduler), `executor_container` the executor's own (JSON of Mesos): that
    one has all volumes, also those that an operator adds. Raises BadPlan."""
    mesos = container.get("mesos")
    mesos = mesos if isinstance(mesos, Mapping) else {}
    docker = container.get("docker") is not None
    image = mesos.get("image") is not None and not docker
    own = executor_container if executor_container is not None else {}
    volumes = _volumes(own.get("volumes"), "container_path") or _volumes(mesos.get("volumes"), "containerPath")
    return SandboxPlan(
        directory=directory,
        mesos_sandbox=mesos_sandbox,
        owner=None if docker or options.nosetuid else options.execute_as_user or role,
        docker=docker,
        image=image,
        volumes=tuple(volumes.values()) if image else (),
        mount_point=check_place(options.mount_point, "--sandbox-mount-point") if image else options.mount_point,
        create_user=not options.no_create_user,
    )


def _volumes(given: Any, key: str) -> dict[str, Volume]:
    """By path, so that the last one of a path counts."""
    return {volume.path: volume for volume in _each_volume(given, key)}


def _each_volume(given: Any, key: str) -> Iterator[Volume]:
    for entry in given or ():
        path = entry.get(key)
        if not isinstance(path, str) or not path:
            raise BadPlan(f"a volume has no {key}")
        if entry.get("image") is not None or path == IMAGE_ROOT:
            continue  # the image itself
        yield Volume(check_place(f"/{path.lstrip('/')}", f"the volume {path!r}"), entry.get("mode") == "RO")


def check_place(path: str, what: str) -> str:
    """A place in an image, without useless slashes. Raises BadPlan."""
    if not path.startswith("/"):
        raise BadPlan(f"{what}: {path!r} is no absolute path")
    if ".." in path.split("/") or "\0" in path:
        raise BadPlan(f"{what}: {path!r} does not stay where it is")
    place = normpath(path).replace("//", "/")
    if place == "/":
        raise BadPlan(f"{what}: it can't be the root of the image")
    return place
