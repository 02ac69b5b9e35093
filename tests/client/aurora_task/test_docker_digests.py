"""Tags become digests: a registry on the loopback, with and without tokens, and everything that it may get wrong."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.aurora.docker_digests import bind_images
from client.aurora.docker_registry import DOCKER_HUB, Registry
from config.core.rules import check_job
from config.loader import load_jobs
from tests.client.aurora_task.registry import DIGEST, Answer, FakeRegistry, serve
from thermos.errors import ConfigError, RemoteError, UserError


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    yield from serve()


def job(tmp_path: Path, container: str, cmdline: str = "true", more: str = "") -> Any:
    path = tmp_path / "web.aurora"
    path.write_text(
        f"task = SimpleTask('web', {cmdline!r})\n"
        f"jobs = [Job(cluster='c', role='www', environment='prod', task=task, container={container}){more}]\n"
    )
    return load_jobs(path).jobs[0]


def test_a_tag_becomes_a_digest(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.has("team/web", "1.2")
    wanted = f"{registry.place}/team/web@{DIGEST}"
    bound = bind_images(
        job(tmp_path, "Docker(image='{{docker.image[team/web][1.2]}}')", "run {{docker.image[team/web][1.2]}}"),
        registry.url,
    )
    checked = check_job(bound)
    assert checked.problems == []
    assert checked.data["container"]["image"] == wanted
    assert checked.data["task"]["processes"][0]["cmdline"] == f"run {wanted}"
    assert registry.asked == [("HEAD", "/v2/team/web/manifests/1.2", None)]
    assert "application/vnd.docker.distribution.manifest.v2+json" in registry.accepted[0]


def test_names_that_are_put_together(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.has("www/web", "7", DIGEST)
    registry.has("other", "x", f"sha256:{'cd' * 32}")
    given = job(
        tmp_path,
        "Docker(image='{{docker.image[{{mesos.role}}/web][{{tag}}]}}')",
        "{{docker.image[other][x]}}",
        ".bind(tag='7')",
    )
    data = check_job(bind_images(given, registry.url + "/")).data
    assert data["container"]["image"] == f"{registry.place}/www/web@{DIGEST}"
    assert data["task"]["processes"][0]["cmdline"] == f"{registry.place}/other@sha256:{'cd' * 32}"


def test_a_job_without_images_asks_nobody(tmp_path: Path) -> None:
    def connect(url: str) -> Registry:
        raise AssertionError("a registry was asked")

    given = job(tmp_path, "Docker(image='web:1')")
    assert bind_images(given, "http://127.0.0.1:1", connect=connect) is given


def test_without_a_registry_it_is_said_who_binds_it(tmp_path: Path) -> None:
    (problem,) = check_job(job(tmp_path, "Docker(image='{{docker.image[a/b][1]}}')")).problems
    hint = "`aurora` asks a registry for its digest, nobody else does; bind it with --bind docker.image[a/b][1]=…"
    assert problem.text == f"Config contains unbound variables: {{{{docker.image[a/b][1]}}}}; {hint}"


def test_the_names_of_docker_hub(tmp_path: Path) -> None:
    class Hub(Registry):
        def digest(self, name: str, tag: str) -> str:
            return DIGEST

    given = job(tmp_path, "Docker(image='{{docker.image[nginx][1]}}')")
    assert check_job(bind_images(given, DOCKER_HUB, connect=Hub)).data["container"]["image"] == f"nginx@{DIGEST}"


def test_official_images_of_docker_hub_are_in_its_library(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.has("library/nginx", "1")
    hub = Registry(registry.url)
    hub.is_docker_hub = True
    assert hub.digest("nginx", "1") == DIGEST


def test_a_challenge_is_solved_once(registry: FakeRegistry) -> None:
    registry.wants_token("web", "1")
    assert Registry(registry.url).digest("web", "1") == DIGEST
    assert registry.asked == [
        ("HEAD", "/v2/web/manifests/1", None),
        ("GET", "/token?service=fake&scope=repository%3Aweb%3Apull", None),
        ("HEAD", "/v2/web/manifests/1", "Bearer t0k"),
    ]


def test_a_private_image(registry: FakeRegistry) -> None:
    registry.wants_token("web", "1", token="another")
    with pytest.raises(RemoteError, match=r": Private Docker repository - web:1$"):
        Registry(registry.url).digest("web", "1")
    assert len(registry.asked) == 3


def test_a_registry_that_sends_no_digest_is_asked_for_the_manifest(registry: FakeRegistry) -> None:
    manifest = b'{"schemaVersion": 2}'
    registry.answers["/v2/web/manifests/1"] = (200, {}, manifest)
    assert Registry(registry.url).digest("web", "1") == f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def test_a_token_stays_with_the_registry(registry: FakeRegistry) -> None:
    registry.wants_token("web", "1")
    manifest: Any = registry.answers["/v2/web/manifests/1"]

    def moved(authorization: str | None) -> Answer:
        return (307, {"Location": "/else"}, b"") if authorization else manifest(authorization)

    registry.answers["/v2/web/manifests/1"] = moved
    registry.answers["/else"] = (200, {"Docker-Content-Digest": DIGEST}, b"")
    assert Registry(registry.url).digest("web", "1") == DIGEST
    assert registry.asked[-1][1:] == ("/else", None)


@pytest.mark.parametrize(
    ("challenge", "words"),
    [
        ('Basic realm="x"', "it wants Basic authentication, and only Bearer is known"),
        ("", "it wants unknown authentication, and only Bearer is known"),
        ('Bearer service="x"', "it wants a token from '', which is no address"),
        ('Bearer realm="file:///etc/passwd"', "it wants a token from 'file:///etc/passwd', which is no address"),
        ('Bearer realm="URL/nothing"', "gives no token, it answered 404"),
        ('Bearer realm="URL/nonsense"', "is no token"),
        ('Bearer realm="URL/evil"', "is no token"),
    ],
)
def test_challenges_that_cannot_be_solved(registry: FakeRegistry, challenge: str, words: str) -> None:
    registry.wants_token("web", "1", challenge=challenge.replace("URL", registry.url))
    registry.answers["/nonsense"] = (200, {}, b"[")
    registry.answers["/evil"] = (200, {}, b'{"token": "a\\r\\nX: y"}')
    with pytest.raises(RemoteError) as refused:
        Registry(registry.url).digest("web", "1")
    assert str(refused.value).startswith(f"cannot resolve docker image web:1 at {registry.url}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (500, {}, "it answered 500; try again"),
        (429, {}, "it answered 429; try again"),
        (403, {}, "Private Docker repository - web:1"),
        (200, {"Docker-Content-Digest": "sha256:xyz"}, "it says that the digest is 'sha256:xyz', which is none"),
        (302, {"Location": "ftp://127.0.0.1/x"}, "unknown url type: ftp"),
    ],
)
def test_answers_that_are_none(registry: FakeRegistry, status: int, headers: dict[str, str], words: str) -> None:
    registry.answers["/v2/web/manifests/1"] = (status, headers, b"")
    with pytest.raises(RemoteError) as refused:
        Registry(registry.url).digest("web", "1")
    assert str(refused.value) == f"cannot resolve docker image web:1 at {registry.url}: {words}"


def test_an_image_that_does_not_exist(registry: FakeRegistry) -> None:
    with pytest.raises(ConfigError) as refused:
        Registry(registry.url).digest("web", "1")
    assert str(refused.value) == f"docker image web:1 does not exist at {registry.url}"


def test_what_is_no_registry(registry: FakeRegistry) -> None:
    del registry.answers["/v2/"]
    with pytest.raises(RemoteError, match="it is not a registry v2; see docker_registry in"):
        Registry(registry.url).digest("web", "1")


def test_nobody_there() -> None:
    with socket.socket() as bound:  # nobody listens
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(RemoteError) as refused:
            Registry(url).digest("web", "1")
    assert str(refused.value) == f"cannot resolve docker image web:1 at {url}: Connection refused"


def test_a_registry_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RemoteError, match=r"timed out$"):
            Registry(url, timeout_s=0.05).digest("web", "1")


@pytest.mark.parametrize(("name", "tag"), [("Web", "1"), ("../x", "1"), ("web", "a/b"), ("web", "a b"), ("", "1")])
def test_names_that_cannot_be(name: str, tag: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot exist; write \{\{docker\.image\[NAME\]\[TAG\]\}\}$"):
        Registry("http://127.0.0.1:1").digest(name, tag)


@pytest.mark.parametrize("url", ["", "registry:5000", "file:///x", "http://", "http://h:x", "http://a b"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(UserError, match="is no address of a registry"):
        Registry(url)
