"""Verbs that take a config find the digests of its images, if it has any; hooks alone need them, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from client.aurora.context import Context
from client.aurora.hooked import optional_job
from client.job_keys import parse_job_key
from tests.client.aurora_task.registry import DIGEST, FakeRegistry, serve
from tests.client.aurora_task.site import Site

KEY = "west/www/prod/web"
CONFIG = """
jobs = [Job(cluster='west', role='www', environment='prod', container=Docker(image='{{docker.image[web][1]}}'),
            task=SimpleTask('web', 'true'))]
"""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    yield from serve()


def test_the_job_of_a_config(site: Site, registry: FakeRegistry) -> None:
    site.entry["docker_registry"] = registry.url
    registry.has("web", "1")
    config = site.tmp / "web.aurora"
    config.write_text(CONFIG)
    shown = site.aurora("job", "inspect", "-o", "json", KEY, str(config))
    image = f"{registry.place}/web@{DIGEST}"
    assert (shown.code, shown.err) == (0, "")
    assert image in shown.out
    job = optional_job(Context("job", "kill"), parse_job_key(KEY), str(config), (), False)
    assert job is not None
    assert job.configuration["taskConfig"]["container"]["docker"]["image"] == image


def test_an_image_that_is_missing(site: Site, registry: FakeRegistry) -> None:
    site.entry["docker_registry"] = registry.url
    config = site.tmp / "web.aurora"
    config.write_text(CONFIG)
    shown = site.aurora("job", "create", KEY, str(config))
    assert shown == (3, "", f"aurora: docker image web:1 does not exist at {registry.url}\n")
    assert site.scheduler.queries == []
