"""Asking the scheduler: what is tried again how often, redirects, and words for what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from client.api_client import ApiClient, is_missing, job_path
from client.api_errors import ApiError, AuthError, NetworkError, TimedOut
from client.clusters import Cluster
from client.connection import Answer, Broken, NotConnected, NotTrusted, Origin, TooLate, parse_origin
from client.job_keys import ClusterJobKey
from thermos.errors import UserError

OK = Answer(200, {}, b'{"ok": true}')
A = Cluster("rz1", scheduler_uri="http://a:8081")

Step = Answer | Exception


class Wire:
    """Answers in order, the last one again and again; time passes only in pauses."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.sent: list[tuple[str, str, str, Mapping[str, str], bytes | None]] = []
        self.now = 0.0
        self.said: list[str] = []
        self.located = 0

    def send(self, origin: Origin, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        self.sent.append((str(origin), method, target, headers, body))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step

    def locate(self, cluster: Cluster) -> Origin:
        self.located += 1
        assert cluster.scheduler_uri is not None
        return parse_origin(cluster.scheduler_uri, "uri")

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def client(self, cluster: Cluster = A, *, verbose: bool = False) -> ApiClient:
        keys = iter(f"key-{number}" for number in range(99))
        return ApiClient(
            cluster, say=self.said.append, verbose=verbose, send=self.send, locate=self.locate, pause=self.pause,
            clock=lambda: self.now, unique=lambda: next(keys),
        )  # fmt: skip


@pytest.fixture(autouse=True)
def no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def problem(status: int, code: str, detail: str = "It won't do.", **more: Any) -> Answer:
    error = {"status": status, "code": code, "title": "Title", "detail": detail, **more}
    return Answer(status, {}, json.dumps({"error": error}).encode())


def test_a_question() -> None:
    wire = Wire(OK)
    assert wire.client().get("/jobs", {"role": "www", "name": None, "limit": 7}) == {"ok": True}
    origin, method, target, headers, body = wire.sent[0]
    assert (origin, method, target, body) == ("http://a:8081", "GET", "/api/v1/jobs?role=www&limit=7", None)
    assert headers["Accept"] == "application/json"
    assert "Idempotency-Key" not in headers


def test_a_change_has_a_key_which_is_the_same_each_time_it_is_sent() -> None:
    wire = Wire(Broken("broke"), TooLate("late"), OK)
    client = wire.client()
    client.post("/jobs", {"a": "ä"})
    assert [sent[3]["Idempotency-Key"] for sent in wire.sent] == ["key-0"] * 3
    assert json.loads(wire.sent[0][4] or b"") == {"a": "ä"}
    client.post("/jobs", {})
    assert wire.sent[-1][3]["Idempotency-Key"] == "key-1"


@pytest.mark.parametrize(
    ("step", "tries", "seconds", "error", "words"),
    [
        (NotConnected("cannot connect to a"), 5, 4, NetworkError, "cluster rz1: cannot connect to a"),
        (Broken("the connection broke"), 5, 4, NetworkError, "the connection broke"),
        (TooLate("no answer in time"), 5, 4, TimedOut, "no answer in time"),
        (problem(503, "TRANSIENT", "It is starting"), 120, 595, TimedOut, "not ready: It is starting"),
        (Answer(503, {"retry-after": "50"}, b"<html>"), 13, 600, TimedOut, "not ready (HTTP status 503)"),
        (Answer(502, {}, b""), 120, 595, TimedOut, "HTTP status 502"),
        (NotTrusted("not trusted"), 1, 0, NetworkError, "cluster rz1: not trusted"),
    ],
)
def test_what_is_tried_again(step: Step, tries: int, seconds: float, error: type[Exception], words: str) -> None:
    wire = Wire(step)
    with pytest.raises(error) as caught:
        wire.client().get("/cluster")
    assert words in str(caught.value)
    assert (len(wire.sent), wire.now) == (tries, seconds)
    assert len(wire.said) == (tries > 1), "it is said once that it goes on trying"


def test_each_try_looks_for_the_leader_anew() -> None:
    wire = Wire(NotConnected("x"), OK)
    client = wire.client()
    client.get("/cluster")
    client.get("/cluster")
    assert wire.located == 2


def moved(where: str) -> Answer:
    return Answer(307, {"location": where}, b"")


def test_the_leader_is_followed_and_remembered() -> None:
    wire = Wire(moved("http://b:8082/api/v1/jobs?x=1"), OK)
    client = wire.client()
    client.post("/jobs", {"a": 1})
    client.get("/cluster")
    assert [sent[:3] for sent in wire.sent] == [
        ("http://a:8081", "POST", "/api/v1/jobs"),
        ("http://b:8082", "POST", "/api/v1/jobs?x=1"),
        ("http://b:8082", "GET", "/api/v1/cluster"),
    ]
    assert wire.sent[1][4] == b'{"a": 1}'


@pytest.mark.parametrize(
    ("cluster", "where", "error", "words"),
    [
        (A, "http://b/", NetworkError, "no one leads now"),
        (A, "ftp://b/", UserError, "no http:// or https:// URL"),
        (Cluster("rz1", scheduler_uri="https://a"), "http://b/", NetworkError, "not encrypted; refused"),
    ],
)
def test_bad_redirects(cluster: Cluster, where: str, error: type[Exception], words: str) -> None:
    wire = Wire(moved(where))
    with pytest.raises(error) as caught:
        wire.client(cluster).get("/cluster")
    assert words in str(caught.value)
    assert len(wire.sent) <= 6


def test_refusals_have_all_their_problems() -> None:
    problems = [{"field": "resources", "text": "numCpus must be there"}, {"text": "and more"}]
    with pytest.raises(ApiError) as caught:
        Wire(problem(400, "INVALID_REQUEST", "Bad job", problems=problems)).client().post("/jobs", {})
    assert str(caught.value) == "Bad job\n  resources: numCpus must be there\n  and more"
    both = "resources: numCpus must be there; and more"  # as the scheduler says it
    with pytest.raises(ApiError, match=r"^the scheduler refused:\n  resources: numCpus must be there\n  and more$"):
        Wire(problem(400, "INVALID_REQUEST", both, problems=problems)).client().post("/jobs", {})
    with pytest.raises(ApiError, match=r"^resources: numCpus must be there$"):
        Wire(problem(400, "INVALID_REQUEST", both[:32], problems=problems[:1])).client().post("/jobs", {})
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")
    assert not is_missing(caught.value)
    with pytest.raises(ApiError) as caught:
        Wire(problem(404, "NOT_FOUND")).client().get("/x")
    assert is_missing(caught.value)


def test_an_update_in_the_way_says_what_to_do() -> None:
    with pytest.raises(ApiError, match=r"locked by an active update. Run 'aurora update abort'"):
        Wire(problem(409, "JOB_UPDATING")).client().post("/jobs", {})


def test_who_asks(tmp_path: Path) -> None:
    wire = Wire(problem(401, "AUTH_REQUIRED"))
    with pytest.raises(AuthError) as caught:
        wire.client().post("/jobs", {})
    hint = "put `machine a login USER password PASSWORD` into ~/.netrc"
    assert str(caught.value) == f"the scheduler of rz1 asks who you are: {hint}"
    assert "Authorization" not in wire.sent[0][3]

    (tmp_path / "netrc").write_text("machine a login me password secret\n")
    with pytest.raises(AuthError, match=r"does not accept the user and password of ~/.netrc"):
        wire.client().post("/jobs", {})
    assert wire.sent[1][3]["Authorization"] == "Basic bWU6c2VjcmV0"
    with pytest.raises(AuthError, match=r"^You may not kill"):
        Wire(problem(403, "NOT_ALLOWED", "You may not kill")).client().post("/jobs", {})


def test_passwords_don_t_go_where_a_redirect_leads(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine a login me password secret\n")
    wire = Wire(moved("http://evil:80/api/v1/cluster"), OK)
    wire.client().get("/cluster")
    assert "Authorization" in wire.sent[0][3]
    assert "Authorization" not in wire.sent[1][3]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"[" * 100_000, b"\xff"])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_is_no_scheduler(status: int, body: bytes) -> None:
    with pytest.raises(NetworkError) as caught:
        Wire(Answer(status, {}, body)).client().get("/cluster")
    assert (
        str(caught.value) == f"cluster rz1: http://a:8081 answers, but not as a scheduler does (HTTP status {status})"
    )


def test_what_is_newer_than_we_are() -> None:
    body = {"tasks": [], "total": 0, "somethingNew": {"x": 1}}
    assert Wire(Answer(200, {}, json.dumps(body).encode())).client().get("/tasks") == body
    with pytest.raises(ApiError, match=r"^It won't do.$"):
        Wire(problem(418, "TEAPOT", tea="green")).client().get("/tasks")


def page(numbers: list[int], total: int) -> Answer:
    return Answer(200, {}, json.dumps({"jobs": [{"n": n} for n in numbers], "total": total}).encode())


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([page([], 0)], []),
        ([page([1, 2], 3), page([3], 3)], [1, 2, 3]),
        ([page([1, 2], 9), page([], 9)], [1, 2]),
        ([Answer(200, {}, b"{}")], []),
    ],
)
def test_pages(pages: list[Step], expected: list[int]) -> None:
    wire = Wire(*pages)
    assert [job["n"] for job in wire.client().pages("/jobs", "jobs", {"role": "www"})] == expected
    offsets = [sent[2].partition("offset=")[2] for sent in wire.sent]
    assert offsets == [str(n) for n in (0, 2)][: len(pages)]


@pytest.mark.parametrize("body", ['{"jobs": 7}', '{"jobs": [7]}', '{"jobs": [], "total": "x"}', '{"jobs": null}'])
def test_pages_that_nobody_understands(body: str) -> None:
    with pytest.raises(NetworkError, match="list of jobs is not understood"):
        Wire(Answer(200, {}, body.encode())).client().pages("/jobs", "jobs", {})


def test_verbose_says_what_is_asked() -> None:
    wire = Wire(OK)
    wire.client(verbose=True).get("/cluster")
    assert wire.said == ["GET http://a:8081/api/v1/cluster: 200 after 0.000 s"]


def test_paths_are_quoted() -> None:
    assert job_path(ClusterJobKey("c", "r", "e", "n.-_"), "kill") == "/jobs/r/e/n.-_/kill"
    assert job_path(ClusterJobKey("c", "..", "a b", "n"), 3) == "/jobs/../a%20b/n/3"


def test_an_error_of_the_cluster_s_entry_passes() -> None:
    def no(_cluster: Cluster) -> Origin:
        raise UserError("bad entry")

    locate: Callable[[Cluster], Origin] = no
    with pytest.raises(UserError, match="bad entry"):
        ApiClient(A, say=print, locate=locate).get("/cluster")
