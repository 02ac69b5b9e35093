"""What kind of sandbox a task gets, by its container, the executor's container and the flags."""

from __future__ import annotations

from typing import Any

import pytest

from executor.core.sandbox_plan import BadPlan, SandboxOptions, SandboxPlan, Volume, draw_plan

IMAGE = {"docker": {"name": "python", "tag": "3.11"}}


def plan(
    container: dict[str, Any] | None = None, executor: dict[str, Any] | None = None, **options: Any
) -> SandboxPlan:
    return draw_plan("www", container or {}, executor, "/run/1", "/run/1", SandboxOptions(**options))


@pytest.mark.parametrize(
    ("options", "owner"),
    [
        ({}, "www"),
        ({"execute_as_user": "app"}, "app"),
        ({"nosetuid": True}, None),
        ({"nosetuid": True, "execute_as_user": "app"}, None),
    ],
)
def test_whose_the_sandbox_is(options: dict[str, Any], owner: str | None) -> None:
    assert plan(**options).owner == owner
    assert plan({"mesos": {"image": IMAGE}}, **options).owner == owner


@pytest.mark.parametrize("container", [{}, {"mesos": {"volumes": []}}, {"mesos": None}, {"mesos": {"image": None}}])
def test_without_an_image_it_is_a_directory(container: dict[str, Any]) -> None:
    drawn = plan(
        container, {"type": "MESOS", "volumes": [{"container_path": "/data", "host_path": "/d", "mode": "RW"}]}
    )
    assert not drawn.docker and not drawn.image and drawn.volumes == ()


def test_under_docker_nobody_is_somebody_else() -> None:
    drawn = plan({"docker": {"image": "python:3.11"}}, execute_as_user="app")
    assert drawn.docker and not drawn.image and drawn.owner is None


def test_volumes_are_the_executors_and_the_image_is_none_of_them() -> None:
    """An operator's volumes stand only there."""
    executor = {
        "type": "MESOS",
        "volumes": [
            {"container_path": "taskfs", "image": {"type": "DOCKER"}, "mode": "RW"},
            {"container_path": "/data//x/", "host_path": "/d", "mode": "RO"},
            {"container_path": "cache", "host_path": "/c", "mode": "RW"},
            {"container_path": "/data/x", "host_path": "/d2", "mode": "RW"},
        ],
    }
    drawn = plan(
        {"mesos": {"image": IMAGE, "volumes": [{"containerPath": "/y", "hostPath": "/d", "mode": "RO"}]}}, executor
    )
    assert drawn.volumes == (Volume("/data/x"), Volume("/cache"))


def test_else_they_are_those_of_the_task() -> None:
    container = {"mesos": {"image": IMAGE, "volumes": [{"containerPath": "/y", "hostPath": "/d", "mode": "RO"}]}}
    assert plan(container).volumes == (Volume("/y", read_only=True),)
    assert plan(container, {"type": "MESOS"}).volumes == (Volume("/y", read_only=True),)


def test_flags_of_images() -> None:
    drawn = plan({"mesos": {"image": IMAGE}}, no_create_user=True, mount_point="/sandbox/")
    assert (drawn.create_user, drawn.mount_point) == (False, "/sandbox")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("sandbox", "no absolute path"),
        ("", "no absolute path"),
        ("/", "the root of the image"),
        ("//./", "the root of the image"),
        ("/mnt/../etc", "does not stay where it is"),
        ("/mnt\0", "does not stay where it is"),
    ],
)
def test_mount_points_that_are_none(path: str, words: str) -> None:
    with pytest.raises(BadPlan, match=words):
        plan({"mesos": {"image": IMAGE}}, mount_point=path)
    plan({}, mount_point=path)  # nobody needs it


@pytest.mark.parametrize(
    "volume", [{"mode": "RW"}, {"container_path": ""}, {"container_path": "/a/../.."}, {"container_path": 5}]
)
def test_volumes_that_are_none(volume: dict[str, Any]) -> None:
    with pytest.raises(BadPlan, match="volume"):
        plan({"mesos": {"image": IMAGE}}, {"volumes": [volume]})
