"""Jobs over HTTP: create, add, kill, restart, diff, and how they look; what is durable when it is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from scheduler.store.journal import StoreError
from scheduler.store.sqlite_journal import SqliteJournal
from tests.scheduler.api.served import JOB, MemoryJournal, job, run, serving
from tests.scheduler.core import making

KEY = {"role": "www", "environment": "prod", "name": "web"}


def test_a_job_from_its_creation_to_its_end() -> None:
    async def test() -> None:
        async with serving() as s:
            assert await s.create(3) == {
                "key": KEY,
                "instances": [0, 1, 2],
                "url": "http://host-1:8081/scheduler/www/prod/web",
            }
            told = await s.get(JOB)
            assert (told["kind"], told["instanceCount"], told["statuses"]) == ("service", 3, {"PENDING": 3})
            assert told["configs"][0]["instances"] == [[0, 2]]
            assert told["configs"][0]["config"]["tier"] == "preemptible", "with all defaults"
            assert await s.post(f"{JOB}/instances", {"template": 0, "count": 2}) == {"key": KEY, "instances": [3, 4]}

            s.registered()
            s.offers(making.offer(1))
            await s.until(lambda: len(list(s.loop.engine.book)) == 0 and s.active(0).status == "ASSIGNED")
            s.status(s.active(0).id, "RUNNING")
            before = s.active(0).id
            assert await s.post(f"{JOB}/restart", {"instances": [0]}) == {"key": KEY, "instances": [0]}
            assert s.active(0).status == "RESTARTING"
            s.status(before, "KILLED")
            assert s.active(0).id != before

            told = await s.post(f"{JOB}/kill", {"instances": [4], "message": "why not"})
            assert (told["instances"], len(told["taskIds"]), told["message"]) == ([4], 1, "")
            told = await s.post(f"{JOB}/kill", {"instances": None})
            assert told["instances"] == [0, 1, 2, 3]
            assert (await s.post(f"{JOB}/kill", {"instances": [9]}))["message"] == "No tasks to kill."

    run(test)


def test_the_list_of_jobs() -> None:
    async def test() -> None:
        async with serving() as s:
            for name in ("web", "web2", "db"):
                key = msgspec.structs.replace(making.JOB, name=name)
                await s.create(key=key, task_config=making.config(job=key))
            told = await s.get("/api/v1/jobs?name=web*&limit=1")
            assert (told["total"], [j["key"]["name"] for j in told["jobs"]]) == (2, ["web"])
            assert (await s.get("/api/v1/jobs?role=none"))["jobs"] == []
            assert (await s.get("/api/v1/roles"))["roles"] == [{"role": "www", "jobCount": 3, "cronJobCount": 0}]

    run(test)


def test_questions_change_nothing() -> None:
    async def test() -> None:
        async with serving() as s:
            told = await s.post("/api/v1/config/populate", job())
            assert told["job"]["taskConfig"]["tier"] == "preemptible"
            await s.create(2)
            applied = s.tables.applied
            asked = {"taskConfig": told["job"]["taskConfig"], "instanceCount": 3}
            told = await s.post(f"{JOB}/diff", asked)
            assert [(name, [g["instances"] for g in groups]) for name, groups in told.items()] == [
                ("add", [[[2, 2]]]),
                ("remove", []),
                ("update", []),
                ("unchanged", [[[0, 1]]]),
            ]
            other = {**asked["taskConfig"], "priority": 7}
            told = await s.post(f"{JOB}/diff", {"taskConfig": other, "instanceCount": 1, "onlyInstances": [0]})
            assert [group["instances"] for group in told["update"]] == [[[0, 0]]]
            assert told["update"][0]["config"].get("priority", 0) == 0, "the old one"
            assert s.tables.applied == applied

    run(test)


def test_what_is_refused_says_all_that_is_wrong() -> None:
    async def test() -> None:
        async with serving() as s:
            bad = msgspec.structs.replace(making.config(cpus=0, ram=0), tier="gold")
            answer = await s.ask("POST", "/api/v1/jobs", job(0, task_config=bad))
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (400, "INVALID_REQUEST")
            fields = [problem["field"] for problem in error["problems"]]
            assert {"instanceCount", "tier", "resources"} <= {f.removeprefix("taskConfig.") for f in fields}
            await s.create()
            assert "already exists" in await s.refused("POST", "/api/v1/jobs", job(), status=409, code="ALREADY_EXISTS")
            cron = job(cron_schedule="* * * * *", task_config=making.config())
            assert "scheduleCronJob" in await s.refused(
                "POST", "/api/v1/jobs", cron, status=400, code="INVALID_REQUEST"
            )
            for path, body, words in [
                ("restart", {"instances": [0, 7]}, "Not all requested shards are active."),
                ("restart", {"instances": []}, "no instances in the list"),
                ("kill", {"instances": []}, "no instances in the list"),
                ("instances", {"template": 0, "count": 10_000}, "between 1 and 4000"),
            ]:
                told = await s.refused("POST", f"{JOB}/{path}", body, status=400, code="INVALID_REQUEST")
                assert words in told, path
            told = await s.refused(
                "POST", f"{JOB}/instances", {"template": 7, "count": 1}, status=404, code="NOT_FOUND"
            )
            assert told == "No active task found for a given instance ID: www/prod/web/7"
            await s.refused("GET", "/api/v1/jobs/a/prod/b", status=404, code="NOT_FOUND")

    run(test)


def test_a_change_is_answered_when_it_is_durable() -> None:
    async def test() -> None:
        journal = MemoryJournal()
        async with serving(journal) as s:
            journal.held = []
            creating = asyncio.ensure_future(s.create())
            await s.until(lambda: bool(journal.held))
            adding = asyncio.ensure_future(s.post(f"{JOB}/instances", {"template": 0, "count": 1}))
            await s.until(lambda: len(journal.held or []) == 2)
            assert (await s.get(JOB))["instanceCount"] == 2, "memory is ahead"
            assert not creating.done()
            journal.let_go()
            assert (await creating)["instances"] == [0]
            assert (await adding)["instances"] == [1]

    run(test)


def test_what_can_not_be_stored_did_not_happen(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        journal = MemoryJournal()
        async with serving(journal) as s:
            journal.error = StoreError("cannot write: no space left on device")
            answer = await s.ask("POST", "/api/v1/jobs", job(), headers={"Idempotency-Key": "k"})
            error = (await answer.json())["error"]
            assert (answer.status, error["code"], answer.headers["Retry-After"]) == (503, "TRANSIENT", "5")
            assert error["detail"] == "nothing was changed: cannot write: no space left on device"
            await s.refused("GET", JOB, status=404, code="NOT_FOUND")
            journal.error = None
            await s.until(lambda: not s.loop.is_in_trouble)
            told = await s.ask("POST", "/api/v1/jobs", job(), headers={"Idempotency-Key": "k"})
            assert (told.status, "Idempotent-Replay" in told.headers) == (201, False)

    run(test)


def test_said_twice_done_once() -> None:
    async def test() -> None:
        journal = MemoryJournal()
        key = {"Idempotency-Key": "key-1"}
        async with serving(journal) as s:
            first = await s.ask("POST", "/api/v1/jobs", job(2), headers=key)
            again = await s.ask("POST", "/api/v1/jobs", job(2), headers=key)
            assert (first.status, again.status) == (201, 201)
            assert await first.read() == await again.read()
            assert [a.headers.get("Idempotent-Replay") for a in (first, again)] == [None, "true"]
            add = {"template": 0, "count": 1}
            told = [await s.post(f"{JOB}/instances", add, headers={"Idempotency-Key": "key-2"}) for _ in range(3)]
            assert [t["instances"] for t in told] == [[2]] * 3
            words = await s.refused("POST", f"{JOB}/instances", add, status=409, code="INVALID_REQUEST", headers=key)
            assert "used for another request" in words
            await s.refused("POST", "/api/v1/jobs", job(3), status=409, code="INVALID_REQUEST", headers=key)
            assert len(s.tables.tasks) == 3
        async with serving(MemoryJournal(journal.ops)) as s:
            after = await s.ask("POST", "/api/v1/jobs", job(2), headers=key)
            assert (after.status, after.headers["Idempotent-Replay"]) == (201, "true")
            assert await after.read() == await first.read()
            assert len(s.tables.tasks) == 3

    run(test)


def test_said_twice_at_once_done_once() -> None:
    async def test() -> None:
        journal = MemoryJournal()
        async with serving(journal) as s:
            await s.create()
            journal.held = []
            asked = [
                asyncio.ensure_future(
                    s.post(f"{JOB}/instances", {"template": 0, "count": 1}, headers={"Idempotency-Key": "k"})
                )
                for _ in range(5)
            ]
            await s.until(lambda: s.loop.stats.turns >= 7)
            assert not any(each.done() for each in asked), "not even the repetitions"
            journal.let_go()
            assert [(await each)["instances"] for each in asked] == [[1]] * 5
            assert len(s.tables.tasks) == 2

    run(test)


@pytest.mark.parametrize("key", ["", " ", "ä", "a" * 201, "a\tb"])
def test_a_bad_key(key: str) -> None:
    async def test() -> None:
        async with serving() as s:
            words = await s.refused(
                "POST", "/api/v1/jobs", job(), status=400, code="INVALID_REQUEST", headers={"Idempotency-Key": key}
            )
            assert words.startswith("Idempotency-Key has to be")
            assert len(s.tables.tasks) == 0

    run(test)


def test_said_again_after_a_restart_on_disk(tmp_path: Path) -> None:
    key = {"Idempotency-Key": "k"}
    told: list[bytes] = []

    async def test() -> None:
        for count in range(2):
            async with serving(SqliteJournal(tmp_path)) as s:
                answer = await s.ask("POST", "/api/v1/jobs", job(2), headers=key)
                assert (answer.status, "Idempotent-Replay" in answer.headers) == (201, count == 1)
                told.append(await answer.read())
                assert len(s.tables.tasks) == 2
                words = "used for another request"
                path = f"{JOB}/kill"
                assert words in await s.refused("POST", path, {}, status=409, code="INVALID_REQUEST", headers=key)

    run(test)
    assert told[0] == told[1]
