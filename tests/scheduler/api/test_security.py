"""Who may do what over HTTP: every change × every user; pages of others; bodies that are not what they should be."""

from __future__ import annotations

import asyncio
import base64
import logging
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from scheduler.api import gate
from scheduler.api.bodies import MAX_BODY
from scheduler.api.routes import Way
from scheduler.api.settings import Ending
from scheduler.api.table import ROUTES
from scheduler.core.update_states import Wish
from tests.scheduler.api.served import JOB, Served, job, run, serving
from tests.scheduler.core import making
from web.protection import HEADERS

FILE = """
[users]
admin = a, admin
web = w, webteam
killer = k, killer
nobody = n
[roles]
admin = *
webteam = thrift.AuroraSchedulerManager:*:www
killer = thrift.AuroraSchedulerManager:killTasks:*:prod, thrift.AuroraAdmin:quitquitquit
"""

ADS = msgspec.structs.replace(making.JOB, role="ads")
ADS_JOB = "/api/v1/jobs/ads/prod/web"


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


USERS = {name: basic(name, name[0]) for name in ("admin", "web", "killer", "nobody")}


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "security.ini"
    path.write_text(FILE)
    path.chmod(0o600)
    return path


#: name of the call -> (path below a job, body)
CHANGES: dict[str, tuple[str, Any]] = {
    "createJob": ("", None),
    "addInstances": ("/instances", {"template": 0, "count": 1}),
    "killTasks": ("/kill", {"instances": [0]}),
    "restartShards": ("/restart", {"instances": [0]}),
    "startJobUpdate": ("/updates", {"taskConfig": msgspec.to_builtins(making.config()), "instanceCount": 1}),
    **{f"{wish}JobUpdate": (f"/updates/active/{wish}", {}) for wish in (*Wish, "pulse")},
}


def test_every_change_is_in_the_matrix() -> None:
    assert {r.permit.call for r in ROUTES if r.permit is not None} == {*CHANGES, *Ending}
    assert {route.permit is not None for route in ROUTES if route.way is Way.CHANGE} == {True}


@pytest.mark.parametrize("call", CHANGES)
def test_who_may_change_what(users: Path, call: str) -> None:
    path, body = CHANGES[call]
    allowed = {
        ("admin", "www"), ("admin", "ads"), ("web", "www"),
        *([("killer", "www"), ("killer", "ads")] if call == "killTasks" else []),
    }  # fmt: skip

    async def test() -> None:
        async with serving(users=users) as s:
            for user, headers in {**USERS, "": {}}.items():
                for key in (making.JOB, ADS):
                    target, sent = f"/api/v1/jobs/{key.role}/prod/web{path}", body
                    if call == "createJob":
                        target, sent = "/api/v1/jobs", job(key=key, task_config=making.config(job=key))
                    applied = s.tables.applied
                    answer = await s.ask("POST", target, sent, headers=headers)
                    error = (await answer.json()).get("error", {})
                    where = (user, key.role, answer.status, error)
                    if (user, key.role) in allowed:
                        assert answer.status not in (401, 403), where
                        continue
                    assert s.tables.applied == applied, where
                    if not user:
                        assert (answer.status, error["code"]) == (401, "AUTH_REQUIRED"), where
                        assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")
                    else:
                        assert (answer.status, error["code"]) == (403, "NOT_ALLOWED"), where
                        missing = f"thrift.AuroraSchedulerManager:{call}:{key.role}:prod:web"
                        assert error["detail"] == f"{user} may not do this: the permission {missing} is missing"

    run(test)


def test_the_job_in_the_body_is_the_one_that_counts(users: Path) -> None:
    """Nobody gets in with a key of his own around the configuration of somebody else."""

    async def test() -> None:
        async with serving(users=users) as s:
            mixed = job(key=making.JOB, task_config=making.config(job=ADS))
            words = await s.refused(
                "POST", "/api/v1/jobs", mixed, status=400, code="INVALID_REQUEST", headers=USERS["web"]
            )
            assert "the job is www/prod/web" in words
            assert len(s.tables.tasks) == 0

    run(test)


def test_wrong_passwords_are_refused_for_reading_too(users: Path) -> None:
    async def test() -> None:
        async with serving(users=users) as s:
            await s.get("/api/v1/jobs")
            for headers in (basic("admin", "x"), basic("stranger", "a"), {"Authorization": "Bearer a"}):
                await s.refused("GET", "/api/v1/jobs", status=401, code="AUTH_REQUIRED", headers=headers)
                assert (await s.ask("GET", "/health", headers=headers)).status == 200

    run(test)


def test_reading_can_need_a_user(users: Path) -> None:
    async def test() -> None:
        async with serving(users=users, read_auth=True) as s:
            for route in ROUTES:
                if route.method != "GET":
                    continue
                path = route.path.replace("{", "").replace("}", "")
                answer = await s.ask("HEAD", path)
                assert answer.status == (200 if route.open else 401), path
            await s.get("/api/v1/jobs", headers=USERS["nobody"])
            await s.refused("POST", "/api/v1/config/populate", job(), status=401, code="AUTH_REQUIRED")

    run(test)


def test_messages_name_the_user(users: Path) -> None:
    async def test() -> None:
        async with serving(users=users) as s:
            await s.post("/api/v1/jobs", job(), status=201, headers=USERS["web"])
            s.registered()
            s.offers(making.offer(1))
            await s.until(lambda: s.active(0).status == "ASSIGNED")
            await s.post(f"{JOB}/kill", {"instances": [0], "message": "bye"}, headers=USERS["killer"])
            assert s.active(0).task_events[-1].message == "Killed by killer.\nbye"
        async with serving() as s:
            await s.create()
            s.registered()
            s.offers(making.offer(1))
            await s.until(lambda: s.active(0).status == "ASSIGNED")
            await s.post(f"{JOB}/restart", {"instances": [0]})
            assert s.active(0).task_events[-1].message == "Restarted by UNSECURE"

    run(test)


def test_answers_said_once_are_not_told_to_others(users: Path) -> None:
    async def test() -> None:
        async with serving(users=users) as s:
            for user, status in (("web", 201), ("admin", 409)):
                headers = {**USERS[user], "Idempotency-Key": "k"}
                answer = await s.ask("POST", "/api/v1/jobs", job(), headers=headers)
                assert (answer.status, "Idempotent-Replay" in answer.headers) == (status, False)
            # whoever may not any more does not get the old answer
            users.write_text(FILE.replace("webteam = thrift.AuroraSchedulerManager:*:www", "webteam ="))
            s.authenticator.reload()
            headers = {**USERS["web"], "Idempotency-Key": "k"}
            await s.refused("POST", "/api/v1/jobs", job(), status=403, code="NOT_ALLOWED", headers=headers)

    run(test)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_who_may_end_the_scheduler(users: Path) -> None:
    async def test() -> None:
        async with serving(users=users) as s:
            for headers, status in (({}, 401), (USERS["web"], 403), (USERS["killer"], 200), (USERS["admin"], 200)):
                assert (await s.ask("POST", "/quitquitquit", headers=headers)).status == status
            words = await s.refused("POST", "/abortabortabort", status=403, code="NOT_ALLOWED", headers=USERS["killer"])
            assert "thrift.AuroraAdmin:abortabortabort" in words
            assert s.endings == [Ending.POLITE] * 2

    run(test)


def test_without_users_only_this_machine_may_end_it() -> None:
    async def test() -> None:
        async with serving() as s:
            for name in ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"):
                await s.refused("POST", "/quitquitquit", status=403, code="NOT_ALLOWED", headers={name: "x"})
            assert s.endings == []
            assert (await s.ask("POST", "/abortabortabort")).status == 200
            assert s.endings == [Ending.AT_ONCE]

    run(test)


# --- pages of others -------------------------------------------------------------------------------------------------


def test_every_answer_is_protected() -> None:
    async def test() -> None:
        async with serving() as s:
            for path in ("/api/v1/jobs", "/none", "/health", "/agents", "/metrics"):
                answer = await s.ask("GET", path)
                for name, value in HEADERS.items():
                    assert answer.headers[name] == value, path
                assert answer.headers["Cache-Control"] == "no-store"
                assert "Access-Control-Allow-Origin" not in answer.headers
                assert answer.headers["Server"] == "aurora"

    run(test)


def test_pages_of_others_change_nothing() -> None:
    async def test() -> None:
        async with serving() as s:
            host = s.base.removeprefix("http://")
            bad = [
                {"Origin": "https://evil.example"},
                {"Origin": "null"},
                {"Origin": "http://["},
                {"Origin": f"ftp://{host}"},
                {"Origin": ""},
                {"Origin": f"http://{host}.evil.example"},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-site", "Origin": f"http://{host}"},
            ]
            for headers in bad:
                for path, body in (("/api/v1/jobs", job()), (f"{JOB}/kill", {}), ("/quitquitquit", None)):
                    await s.refused("POST", path, body, status=403, code="NOT_ALLOWED", headers=headers)
            assert (len(s.tables.tasks), s.endings) == (0, [])
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
                await s.refused(
                    "POST", "/api/v1/jobs", data=msgspec.json.encode(job()), status=415, code="INVALID_REQUEST",
                    headers={"Content-Type": kind},
                )  # fmt: skip
            ours = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
            await s.post("/api/v1/jobs", job(), status=201, headers=ours)

    run(test)


def test_names_that_are_not_ours() -> None:
    async def test() -> None:
        async with serving(hosts=frozenset({"127.0.0.1", "localhost"})) as s:
            for name in ("evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost@evil.example"):
                for method, path in (("GET", "/api/v1/jobs"), ("POST", "/api/v1/jobs"), ("GET", "/health")):
                    words = await s.refused(method, path, status=421, code="MISDIRECTED", headers={"Host": name})
                    assert "--allowed_host" in words
            for name in ("localhost", "LOCALHOST:1", "127.0.0.1:99"):
                await s.get("/api/v1/jobs", headers={"Host": name})

    run(test)


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the body is no JSON"),
        (b"{", "the body is no JSON"),
        (b"\xff", "the body is no JSON"),
        (b'{"message": "\xff"}', "the body is no JSON"),
        (b'{"message": "\\ud800"}', "the body is no JSON"),
        (b"NaN", "the body is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[]", "Expected `object`, got `array`"),
        (b"null", "got `null`"),
        (b'{"instanes": [1]}', "instanes: there is no such field"),
        (b'{"instances": [1], "extra": {"deep": [1]}}', "extra: there is no such field"),
        (b'{"instances": "1"}', "instances: Expected `array | null`, got `str`"),
        (b'{"instances": [-1]}', "instances[0]: Expected `int` >= 0"),
        (b'{"instances": [1.5]}', "instances[0]: Expected `int`, got `float`"),
        (b'{"instances": [2147483648]}', "instances[0]: Expected `int` <= 2147483647"),
        (b'{"instances": [%d]}' % 10**30, "instances[0]: it has to be a number from"),
        (b'{"message": 1}', "message: Expected `str`, got `int`"),
    ],
)
def test_bodies_that_are_not_what_they_should_be(data: bytes, words: str) -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create(2)
            told = await s.refused("POST", f"{JOB}/kill", data=data, status=400, code="INVALID_REQUEST")
            assert words in told
            assert len(told) < 1000
            assert len(list(s.tables.tasks.active_of_job(making.JOB))) == 2

    run(test)


def test_all_strange_fields_are_told() -> None:
    async def test() -> None:
        async with serving() as s:
            plain = msgspec.to_builtins(job())
            plain["taskConfig"]["contraints"] = []
            plain["taskConfig"]["priority"] = 10**20
            plain["taskConfig"]["resources"][1]["ramMB"] = 5
            plain["taskConfig"]["container"] = {"docker": {"image": "x", "params": []}}
            plain["instances"] = 3
            error = (await s.post("/api/v1/jobs", plain, status=400))["error"]
            assert {problem["field"] for problem in error["problems"]} == {
                "instances", "taskConfig.contraints", "taskConfig.priority", "taskConfig.resources[1].ramMB",
                "taskConfig.container.docker.params",
            }  # fmt: skip
            many = {f"x{n}": n for n in range(10_000)}
            assert len((await s.post("/api/v1/jobs", many, status=400))["error"]["problems"]) <= 101

    run(test)


def test_bodies_that_are_too_large() -> None:
    async def test() -> None:
        async with serving() as s:
            words = await s.refused("POST", f"{JOB}/kill", {"message": "x" * MAX_BODY}, status=413, code="TOO_LARGE")
            assert str(MAX_BODY) in words
            bomb = zlib.compress(b" " * 30_000_000)
            await s.refused(
                "POST", f"{JOB}/kill", data=bomb, status=415, code="INVALID_REQUEST",
                headers={"Content-Encoding": "deflate"},
            )  # fmt: skip

    run(test)


def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(gate, "PATIENCE_S", 0.05)
        async with serving() as s:
            reader, writer = await connect(s)
            writer.write(
                f"POST {JOB}/kill HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{{"
                .encode()
            )  # fmt: skip
            answer = await reader.readuntil(b"}}")
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b"took longer than" in answer
            writer.close()

    run(test)


async def connect(s: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = s.base.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


def test_a_bug_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as s:
            secret = "a secret of the inside"

            def broken(*args: object) -> None:
                raise ValueError(secret)

            monkeypatch.setattr(s.loop, "read", broken)
            words = await s.refused("GET", "/api/v1/jobs", status=500, code="INTERNAL")
            assert words == "internal error: ValueError; the log of the scheduler says more"
            monkeypatch.setattr(s.loop.engine, "insert", broken)
            assert secret not in await s.refused("POST", "/api/v1/jobs", job(), status=500, code="INTERNAL")
            assert len(s.tables.tasks) == 0

    with caplog.at_level(logging.ERROR):
        run(test)
    assert "a secret of the inside" in caplog.text


def test_raw_nonsense_on_the_wire() -> None:
    head = b"POST /api/v1/jobs HTTP/1.1\r\nHost: x\r\n"
    json_head = head + b"Content-Type: application/json\r\n"
    texts = [
        b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"G" * 20_000 + b"\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 5_000 + b"\r\n",
        head + b"Content-Length: -5\r\n\r\n",
        head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        json_head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        json_head + b"Content-Length: 9\r\n\r\n{",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /api/v1/jobs HTTP/1.1\r\n\r\n",
        b"GET //evil.example/%2e%2e HTTP/1.1\r\nHost: x\r\n\r\n",
    ]  # fmt: skip

    async def test() -> None:
        async with serving() as s:
            for text in texts:
                reader, writer = await connect(s)
                writer.write(text)
                writer.write_eof()
                answer = await asyncio.wait_for(reader.read(100_000), 20)
                assert not answer.startswith(b"HTTP/1.1 500"), text[:50]
                assert b"Traceback" not in answer, text[:50]
                writer.close()
            assert (await s.get("/api/v1/jobs"))["total"] == 0
            assert len(s.tables.tasks) == 0

    run(test)


@pytest.mark.parametrize("path", ["www%0AFAKE/prod/a", "www/prod/a%1b%5b31m", "%2e%2e%2fetc/prod/a", "www/prod/a%20b"])
def test_what_no_job_is_called_is_refused_and_not_in_the_log(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with serving() as s:
            with caplog.at_level(logging.INFO):
                line = await s.refused(
                    "POST", f"/api/v1/jobs/{path}/kill", {"instances": None}, status=400, code="INVALID_REQUEST"
                )
            assert "may have letters, digits" in line

    run(test)
    assert "killTasks" not in caplog.text
