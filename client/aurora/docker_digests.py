"""`{{docker.image[NAME][TAG]}}` in a job becomes `NAME@sha256:…`: what the tag names now, for every instance alike.

    job = bind_images(job, cluster.docker_registry)    # between picking a job and checking it

References are resolved as often as they differ, at the registry of the job's cluster. The name of a registry that is
not Docker Hub is put before the image's.

Source: spec/scheduler.md §11.4, spec/thermos.md §1.5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from client.aurora.docker_registry import Registry
from config.core.rules import bind_job
from config.dsl.matcher import Any as Anything
from config.dsl.matcher import Matcher

_IMAGES = Matcher("docker").image[Anything][Anything]


def bind_images(job: Any, registry_url: str, *, connect: Callable[[str], Registry] = Registry) -> Any:
    """The job with its images bound; no registry is asked if there are none.

    Raises ConfigError: there is no such image; RemoteError: the registry does not say; UserError: it is no address.
    """
    bound = bind_job(job)
    if next(_IMAGES.match(bound), None) is None:
        return job
    registry = connect(registry_url)
    place = "" if registry.is_docker_hub else f"{registry.host}/"
    return _IMAGES.apply(lambda _docker, _image, name, tag: f"{place}{name}@{registry.digest(name, tag)}", bound)
