"""Updates over the API: started, followed, changed by wishes, refused."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec
import pytest
from msgspec import structs

from scheduler.update_acts import UpdateActs
from tests.scheduler.api.served import JOB, Served, run, serving
from tests.scheduler.core import making

URL = f"{JOB}/updates"
UPDATE_ID = "org.apache.aurora.client.update_id"


def body(instances: int = 2, priority: int = 1, **more: Any) -> dict[str, Any]:
    """Every task is replaced: its priority is another one."""
    config = structs.replace(making.config(), is_service=True, priority=priority)
    given = {"taskConfig": msgspec.to_builtins(config), "instanceCount": instances}
    return {**given, "settings": {"updateGroupSize": 1, "minWaitInInstanceRunningMs": 0}, **more}


async def start(s: Served, **more: Any) -> str:
    """Its id."""
    s.registered()
    await s.create(2)
    return str((await s.post(URL, body(**more), status=201))["key"]["id"])


def test_the_answer_to_a_start() -> None:
    async def test() -> None:
        async with serving() as s:
            s.registered()
            await s.create(2)
            started = await s.post(URL, body(message="go", metadata=[{"key": "a", "value": "b"}]), status=201)
            found = started["update"]
            assert started == {"started": True, "key": found["key"], "update": found, "message": ""}
            assert found["key"]["job"] == {"role": "www", "environment": "prod", "name": "web"}
            assert (found["user"], found["status"]) == ("UNSECURE", "ROLLING_FORWARD")
            assert found["metadata"] == [{"key": "a", "value": "b"}]
            assert found["progress"] == {"done": 0, "total": 2}
            assert found["createdMs"] == found["modifiedMs"] > 1_600_000_000_000

    run(test)


def test_a_start_that_changes_nothing() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create(2)
            nothing = await s.post(URL, body(priority=0), status=200)
            assert nothing["started"] is False and nothing["key"] is None
            assert nothing["message"] == "Job is unchanged by proposed update."
            # the same under a key: the same answer, with the same status
            for _ in range(2):
                headers = {"Idempotency-Key": "k"}
                assert await s.post(URL, body(priority=0), status=200, headers=headers) == nothing
            assert len(s.tables.updates) == 0

    run(test)


def test_a_second_start_is_refused_with_the_key_of_the_first() -> None:
    async def test() -> None:
        async with serving() as s:
            first = await start(s, metadata=[{"key": UPDATE_ID, "value": "mine"}])
            error = (await s.json("POST", URL, body(priority=2), status=409))["error"]
            assert error["code"] == "JOB_UPDATING" and first in error["detail"] and "\n" not in error["detail"]
            assert error["update"]["key"]["id"] == first
            # the same start once more is no second one
            again = await s.post(URL, body(metadata=[{"key": UPDATE_ID, "value": "mine"}]), status=201)
            assert again["key"]["id"] == first
            # what else is refused meanwhile
            for path, sent in (
                ("kill", {}),
                ("restart", {"instances": [0]}),
                ("instances", {"template": 0, "count": 1}),
            ):
                await s.refused("POST", f"{JOB}/{path}", sent, status=409, code="JOB_UPDATING")

    run(test)


def test_an_update_goes_to_its_end() -> None:
    async def test() -> None:
        async with serving() as s:
            update_id = await start(s)
            await run_all(s)
            details = await s.get(f"{URL}/{update_id}")
            assert details["status"] == "ROLLED_FORWARD"
            assert details["progress"] == {"done": 2, "total": 2}
            assert [each["status"] for each in details["updateEvents"]] == ["ROLLING_FORWARD", "ROLLED_FORWARD"]
            told = [(each["instanceId"], each["action"]) for each in details["instanceEvents"]]
            assert told == [
                (0, "INSTANCE_UPDATING"), (0, "INSTANCE_UPDATED"), (1, "INSTANCE_UPDATING"), (1, "INSTANCE_UPDATED")
            ]  # fmt: skip
            assert details["stages"] == [{"stage": "UPDATED", "instances": [[0, 1]]}]
            assert details["waitsFor"] == []
            assert {task.config.priority for task in s.tables.tasks.active_of_job(making.JOB)} == {1}

    run(test)


async def run_all(s: Served) -> None:
    """Whatever is launched runs at once, and ends when it is killed, until the update is over."""
    said = {"ASSIGNED": "RUNNING", "KILLING": "KILLED"}
    for number in itertools.count():
        if s.tables.updates.active(making.JOB) is None:
            return
        s.offers(making.offer(number, cpus=64.0, mem=65536.0))
        for task in list(s.tables.tasks.active_of_job(making.JOB)):
            if task.status in said:
                s.status(task.id, said[task.status])
        await asyncio.sleep(0.005)


def test_it_says_what_it_waits_for() -> None:
    async def test() -> None:
        async with serving() as s:
            await start(s)
            await s.until(lambda: s.active(0).config.priority == 1)
            details = await s.get(f"{URL}/active")
            (wait,) = details["waitsFor"]
            assert (wait["instance"], wait["kind"], wait["untilMs"]) == (0, "PLACEMENT", None)
            assert wait["what"] == "no host was found for it yet" and wait["sinceMs"] > 1_600_000_000_000
            await s.post(f"{URL}/active/pause", {})
            (wait,) = (await s.get(f"{URL}/active"))["waitsFor"]
            assert (wait["instance"], wait["kind"]) == (None, "RESUME")

    run(test)


def test_wishes() -> None:
    async def test() -> None:
        async with serving() as s:
            update_id = await start(s)
            for wish, status in (
                ("pause", "ROLL_FORWARD_PAUSED"), ("pause", "ROLL_FORWARD_PAUSED"), ("resume", "ROLLING_FORWARD"),
                ("rollback", "ROLLING_BACK"), ("pause", "ROLL_BACK_PAUSED"), ("abort", "ABORTED"),
            ):  # fmt: skip
                moved = await s.post(f"{URL}/{update_id}/{wish}", {"message": f"{wish} it"})
                assert moved == {"key": moved["key"], "status": status} and moved["key"]["id"] == update_id
            text = await s.refused("POST", f"{URL}/{update_id}/resume", {}, status=400, code="INVALID_REQUEST")
            assert "it is ABORTED" in text
            for wish in ("pause", "resume", "abort", "rollback", "pulse"):
                await s.refused("POST", f"{URL}/active/{wish}", {}, status=404, code="NOT_FOUND")
            await s.refused("GET", f"{URL}/active", status=404, code="NOT_FOUND")
            await s.refused("POST", f"{URL}/none/pause", {}, status=404, code="NOT_FOUND")
            events = (await s.get(f"{URL}/{update_id}"))["updateEvents"]
            assert [each.get("message") for each in events[1:]] == [
                "pause it", "resume it", "rollback it", "pause it", "abort it"
            ]  # fmt: skip
            assert {each["user"] for each in events} == {"UNSECURE"}

    run(test)


def test_pulses() -> None:
    async def test() -> None:
        async with serving() as s:
            update_id = await start(s, settings={"blockIfNoPulsesAfterMs": 3_600_000})
            assert (await s.get(f"{URL}/active"))["status"] == "ROLL_FORWARD_AWAITING_PULSE"
            assert (await s.post(f"{URL}/active/pulse", {}))["status"] == "OK"
            updates = s.tables.updates
            await s.until(lambda: [entry.state.status for entry in updates.walk()] == ["ROLLING_FORWARD"])
            await s.post(f"{URL}/active/abort", {})
            for each in (update_id, "unknown"):
                assert (await s.post(f"{URL}/{each}/pulse", {}))["status"] == "FINISHED"

    run(test)


def test_the_list() -> None:
    async def test() -> None:
        async with serving() as s:
            first = await start(s)
            await s.post(f"{URL}/active/abort", {})
            second = (await s.post(URL, body(priority=5), status=201))["key"]["id"]

            async def listed(query: str) -> list[str]:
                page = await s.get(f"/api/v1/updates?{query}")
                assert page["total"] >= len(page["updates"])
                return sorted(each["key"]["id"] for each in page["updates"])

            both = sorted((first, second))
            assert await listed("") == await listed("role=w*&environment=prod&name=web&user=UNSECURE") == both
            assert await listed("active=true") == await listed("statuses=ROLLING_FORWARD") == [second]
            assert await listed("active=false") == await listed("statuses=ABORTED,FAILED") == [first]
            assert await listed("active=true&statuses=ABORTED") == await listed("role=ads") == []
            page = await s.get("/api/v1/updates?limit=1&offset=1")
            assert page["total"] == 2 and len(page["updates"]) == 1
            text = await s.refused("GET", "/api/v1/updates?statuses=ROLLING", status=400, code="INVALID_REQUEST")
            assert "'ROLLING'" in text and "ROLLING_BACK" in text

    run(test)


def test_a_plan() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create(3)
            batches = {"updateStrategy": {"batchStrategy": {"groupSize": 2}}, "minWaitInInstanceRunningMs": 10_000}
            plan = await s.post(f"{URL}/plan", body(2, settings=batches))
            assert plan["diff"]["remove"][0]["instances"] == [[2, 2]]
            assert plan["diff"]["update"][0]["instances"] == [[0, 1]]
            assert [each["instances"] for each in plan["batches"]] == [[[0, 1]], [[2, 2]]]
            assert plan["batches"][0]["kinds"] == {"add": 0, "replace": 2, "remove": 0}
            assert plan["secondsAtLeast"] == 10 and plan["startSeconds"] is None
            assert len(s.tables.updates) == 0
            await s.refused("POST", f"{URL}/plan", body(-1), status=400, code="INVALID_REQUEST")

    run(test)


def test_events() -> None:
    async def test() -> None:
        async with serving() as s:
            reader = s.loop.events.subscribe()
            await start(s, message="go")
            told = b""
            while b"INSTANCE_UPDATING" not in told:
                told += await reader.next() or b""
            (update,) = [frame for frame in told.split(b"\n\n") if b"event: update\n" in frame]
            news = msgspec.json.decode(update.partition(b"data: ")[2])
            assert (news["status"], news["user"], news["message"]) == ("ROLLING_FORWARD", "UNSECURE", "go")
            (instance,) = [frame for frame in told.split(b"\n\n") if b"event: update-instance\n" in frame]
            news = msgspec.json.decode(instance.partition(b"data: ")[2])
            assert (news["instance"], news["action"], news["key"]["job"]["name"]) == (0, "INSTANCE_UPDATING", "web")

    run(test)


def test_an_error_of_ours_ends_the_update_and_not_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("oops")

    async def test() -> None:
        async with serving() as s:
            s.registered()
            await s.create(2)
            with monkeypatch.context() as patched:
                patched.setattr(UpdateActs, "perform", fail)
                update_id = (await s.post(URL, body(), status=201))["key"]["id"]
                await s.until(lambda: s.tables.updates.active(making.JOB) is None)
            last = (await s.get(f"{URL}/{update_id}"))["updateEvents"][-1]
            assert (last["status"], last["message"]) == ("ERROR", "Internal scheduler error: oops")
            assert s.loop.stats.bugs == 1 and not s.loop.failed.done()
            told = await (await s.ask("GET", "/metrics")).text()
            for line in (
                "aurora_update_errors_total 1.0", 'aurora_update_transitions_total{status="ERROR"} 1.0',
                'aurora_active_updates{status="ROLLING_FORWARD"} 0.0', 'aurora_stored{table="updates"} 1.0',
            ):  # fmt: skip
                assert line.removesuffix(".0") in told, line
            assert (await s.get("/vars.json"))["update_transition_ERROR"] == 1
            await run_to_its_end(s)

    run(test)


async def run_to_its_end(s: Served) -> None:
    """Another one, now that all is well."""
    update_id = (await s.post(URL, body(), status=201))["key"]["id"]
    await run_all(s)
    assert (await s.get(f"{URL}/{update_id}"))["status"] == "ROLLED_FORWARD"


def test_bad_starts() -> None:
    async def test() -> None:
        async with serving() as s:
            bad = body(settings={"maxFailedInstances": -1, "updateStrategy": {"varBatchStrategy": {"groupSizes": [0]}}})
            error = (await s.json("POST", URL, bad, status=400))["error"]
            assert {each["field"] for each in error["problems"]} == {
                "settings.maxFailedInstances", "settings.updateStrategy"
            }  # fmt: skip
            other = body()
            other["taskConfig"]["job"]["name"] = "other"
            text = await s.refused("POST", URL, other, status=400, code="INVALID_REQUEST")
            assert text == "taskConfig.job: it is www/prod/other, and the job is www/prod/web"
            await s.refused("POST", URL, body(message="x" * 1025), status=400, code="INVALID_REQUEST")
            many = [{"first": n, "last": n} for n in range(1001)]
            await s.refused(
                "POST", URL, body(settings={"updateOnlyTheseInstances": many}), status=400, code="INVALID_REQUEST"
            )
            assert s.loop.stats.bugs == 0 and s.tables.applied == 0

    run(test)
