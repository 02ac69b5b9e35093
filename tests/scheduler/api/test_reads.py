"""What can be looked at: tasks, why they wait, the cluster, and the original's addresses."""

from __future__ import annotations

import json

import msgspec
import pytest

from scheduler.core.cluster_model import ResourceAggregate
from scheduler.core.filters import MaintenanceMode
from scheduler.core.model import JobConfiguration, Resource
from scheduler.store.ops import SaveCronJob, SaveHostAttributes, SaveQuota
from tests.scheduler.api.served import JOB, Served, job, run, serving
from tests.scheduler.core import making

HTML = {"Accept": "text/html,application/xhtml+xml"}


async def placed(s: Served) -> None:
    """Three instances: one runs, one was assigned, one waits."""
    await s.create(3, task_config=making.config(making.limit("rack", 1)))
    s.registered()
    s.offers(making.offer(1, rack="a"), making.offer(2, rack="b"), making.offer(3, rack="b", cpus=0.1))
    await s.until(lambda: [s.active(i).status for i in range(3)].count("ASSIGNED") == 2)
    s.status(s.active(0).id, "RUNNING")


def test_tasks_by_what_is_asked() -> None:
    async def test() -> None:
        async with serving() as s:
            await placed(s)
            told = await s.get("/api/v1/tasks")
            assert told["total"] == 3
            assert [t["status"] for t in told["tasks"]] == ["RUNNING", "ASSIGNED", "PENDING"]
            assert [t["assignedTask"].get("instanceId") for t in told["tasks"]] == [0, 1, 2]
            assert list(told["reasons"]) == [s.active(2).id]
            host = s.active(1).assigned_task.slave_host
            for query, instances in [
                ("role=www&environment=prod&name=web&instances=1-2", [1, 2]),
                ("statuses=PENDING,ASSIGNED", [1, 2]),
                (f"hosts={host}", [1]),
                (f"taskIds={s.active(2).id},{s.active(0).id},x", [0, 2]),
                ("active=false", []),
                ("active=true&instances=0,2", [0, 2]),
                ("limit=1&offset=1", [1]),
                ("role=none", []),
            ]:
                told = await s.get(f"/api/v1/tasks?{query}")
                assert [t["assignedTask"].get("instanceId") for t in told["tasks"]] == instances, query
            bare = (await s.get("/api/v1/tasks?configs=false&limit=1"))["tasks"][0]
            assert "data" not in bare["assignedTask"]["task"]["executorConfig"]

    run(test)


def test_one_task() -> None:
    async def test() -> None:
        async with serving() as s:
            await placed(s)
            task = s.active(0)
            told = await s.get(f"/api/v1/tasks/{task.id}")
            assert (told["status"], told["reason"]) == ("RUNNING", "")
            assert [event["status"] for event in told["taskEvents"]] == ["PENDING", "ASSIGNED", "RUNNING"]
            assert told["assignedTask"]["slaveHost"] == task.assigned_task.slave_host
            await s.refused("GET", "/api/v1/tasks/none", status=404, code="NOT_FOUND")
            await s.refused("GET", "/api/v1/tasks/none/why", status=404, code="NOT_FOUND")

    run(test)


def test_why_a_task_waits() -> None:
    async def test() -> None:
        async with serving() as s:
            await placed(s)
            by_instance = await s.get(f"{JOB}/instances/2/why?hosts=1")
            assert (by_instance["status"], by_instance["hostCount"]) == ("PENDING", 3)
            assert by_instance["instance"] == "www/prod/web/2"
            assert by_instance["byReason"] == {"No offer from it now": 2, "Limit not satisfied: rack": 1}
            assert by_instance["hosts"][0]["host"] == by_instance["smallest"]["host"] == "a00003.example"
            by_task = await s.get(f"/api/v1/tasks/{s.active(2).id}/why?hosts=0")
            assert (by_task["reason"], by_task["hosts"]) == (by_instance["reason"], [])
            assert "RUNNING" in (await s.get(f"{JOB}/instances/0/why"))["reason"]
            for number in ("9", "-1", "x", "99999999999999999999"):
                await s.refused("GET", f"{JOB}/instances/{number}/why", status=404, code="NOT_FOUND")

    run(test)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("tasks?statuses=RUNNING,FLYING", "statuses: there is no 'FLYING'"),
        ("tasks?instances=2-1", "instances: '2-1' is no instance"),
        ("tasks?instances=a", "'a' is no instance"),
        ("tasks?instances=-1", "'-1' is no instance"),
        ("tasks?instances=0-99999", "more than 10000 at once"),
        ("tasks?instances=0-99999999999", "no instance and no range"),
        ("tasks?taskIds=" + ",".join(map(str, range(1001))), "taskIds: more than 1000"),
        ("tasks?active=maybe", "active has to be true or false"),
        ("tasks?limit=0", "limit has to be a number from 1 to 10000"),
        ("tasks?limit=10001", "limit has to be"),
        ("tasks?offset=-1", "offset has to be"),
        ("tasks?limit=x", "limit has to be"),
        ("tasks?role=" + "a" * 1001, "role is longer than 1000"),
        ("tasks?state=RUNNING", "there is no parameter 'state'"),
        ("jobs?name=" + "a" * 256, "name"),
        ("cluster?x=1", "there is no parameter 'x'"),
        ("jobs/www/prod/web/instances/0/why?hosts=x", "hosts has to be a number"),
    ],
)
def test_questions_that_make_no_sense(path: str, words: str) -> None:
    async def test() -> None:
        async with serving() as s:
            assert words in await s.refused("GET", f"/api/v1/{path}", status=400, code="INVALID_REQUEST")

    run(test)


def test_the_cluster() -> None:
    async def test() -> None:
        async with serving() as s:
            told = await s.get("/api/v1/cluster")
            assert {name: told[name] for name in ("cluster", "scheduler", "webUrl", "observerPort", "role")} == {
                "cluster": "rz1", "scheduler": "host-1", "webUrl": "http://host-1:8081", "observerPort": 1338,
                "role": "*",
            }  # fmt: skip
            assert (told["frameworkId"], told["mesos"]) == (None, {"subscribed": False, "master": None})
            assert abs(told["startedAt"] / 1000 - s.loop.now().wall) < 600
            s.registered()
            s.loop.describe_mesos = lambda: {"master": "http://m:5050"}
            told = await s.get("/api/v1/cluster")
            assert (told["frameworkId"], told["mesos"]) == ("f-1", {"subscribed": True, "master": "http://m:5050"})

    run(test)


def test_quota_tiers_and_hosts() -> None:
    async def test() -> None:
        async with serving() as s:
            await placed(s)
            wanted = (Resource(num_cpus=8.5), Resource(ram_mb=100), Resource(disk_mb=200))
            quota = SaveQuota(role="www", quota=ResourceAggregate(resources=wanted))
            await s.loop.act(lambda turn: turn.apply(quota))
            told = await s.get("/api/v1/quota/www")
            assert told["quota"] == {"cpus": 8.5, "ramMb": 100, "diskMb": 200}
            assert told["nonProdShared"] == {"cpus": 3.0, "ramMb": 384, "diskMb": 192}
            assert (await s.get("/api/v1/quota/none"))["quota"]["cpus"] == 0
            assert await s.get("/quotas") == {"www": {"cpu_cores": 8.5, "ram_mb": 100, "disk_mb": 200}}
            assert list(await s.get("/quotas?role=x")) == ["x"]
            tiers = await s.get("/api/v1/tiers")
            assert tiers["default"] == "preemptible"
            assert tiers["tiers"]["revocable"] == {"preemptible": True, "revocable": True}
            assert await s.get("/tiers") == tiers
            told = await s.get("/api/v1/hosts?names=a00003.example")
            assert told["total"] == 1
            host = told["hosts"][0]
            assert (host["host"], host["agentId"], host["mode"]) == ("a00003.example", "a00003", "NONE")
            assert host["offered"] == {"cpus": 0.1, "ramMb": 4096, "diskMb": 10000, "ports": 1000}
            assert host["attributes"]["rack"] == ["b"]
            assert (await s.get("/api/v1/hosts?limit=1&offset=2"))["total"] == 3

    run(test)


def test_the_originals_addresses() -> None:
    async def test() -> None:
        async with serving() as s:
            await placed(s)
            waiting = await s.get("/pendingtasks")
            assert [(g["name"], g["taskIds"]) for g in waiting] == [("www/prod/web", [s.active(2).id])]
            offers = await s.get("/offers")
            assert [(o["id"]["value"], o["hostname"]) for o in offers] == [("o00003", "a00003.example")]
            state = await s.get("/state")
            assert sorted(state["taskConfigs"]) == [f"www/prod/web/{i}" for i in range(3)]
            assert sorted(len(keys) for keys in state["agents"].values()) == [1, 1]
            cron = JobConfiguration(key=making.JOB, task_config=making.config(), cron_schedule="1 * * * *")
            host = s.tables.hosts["a00003.example"]
            drained = msgspec.structs.replace(host, mode=MaintenanceMode.DRAINED)
            await s.loop.act(
                lambda turn: [turn.apply(o) for o in (SaveCronJob(job=cron), SaveHostAttributes(attributes=drained))]
            )
            assert await s.get("/cron") == {"scheduled": {"www/prod/web": "1 * * * *"}}
            assert await s.get("/maintenance") == {"SCHEDULED": [], "DRAINING": {}, "DRAINED": ["a00003.example"]}
            assert (await s.get("/structdump/cron/www/prod/web"))["cronSchedule"] == "1 * * * *"
            await s.refused("GET", "/structdump/cron/a/b/c", status=404, code="NOT_FOUND")
            assert (await s.get("/utilization"))["total_consumed"]["cpus"] == 3.0
            assert list(await s.get("/utilization/total_consumed")) == ["www"]
            assert list(await s.get("/utilization/free_pool_consumed/www")) == ["www/prod/web"]
            assert "there is no metric" in await s.refused("GET", "/utilization/x", status=404, code="NOT_FOUND")
            parts = {part["name"]: part["state"] for part in await s.get("/services")}
            assert parts == {"loop": "RUNNING", "mesos": "RUNNING", "store": "RUNNING"}
            for query in ("", "?pretty", "?pretty=1"):
                told = await (await s.ask("GET", f"/vars.json{query}")).text()
                assert json.loads(told)["task_store_PENDING"] == 1
                assert ('\n  "task_store_PENDING": 1,\n' in told) is bool(query)

    run(test)


def test_pages_for_browsers_and_json_for_programs() -> None:
    async def test() -> None:
        async with serving() as s:
            config = msgspec.structs.replace(making.config(), contact_email="<script>alert(1)</script>")
            await s.create(task_config=config)
            s.registered()
            s.offers(making.offer(1, host="<b>", rack="x<y"))
            task_id = s.active(0).id
            for path in ("/agents", "/slaves", f"/structdump/task/{task_id}"):
                page = await s.ask("GET", path, headers=HTML)
                text = await page.text()
                assert (page.status, page.content_type) == (200, "text/html")
                assert "<script" not in text and "<b>" not in text
            dumped = await (await s.ask("GET", f"/structdump/task/{task_id}", headers=HTML)).text()
            assert "&lt;script&gt;alert" in dumped
            assert (await s.get("/agents"))[0]["host"] == "<b>"
            told = await s.get(f"/structdump/task/{task_id}")
            assert told["assignedTask"]["task"]["contactEmail"].startswith("<script>")
            await s.refused("GET", "/structdump/task/none", status=404, code="NOT_FOUND")
            assert (await s.ask("GET", "/structdump/task/none", headers=HTML)).status == 404

    run(test)


def test_health() -> None:
    async def test() -> None:
        async with serving() as s:
            for path in ("/health", "/leaderhealth"):
                answer = await s.ask("GET", path)
                assert (answer.status, await answer.text()) == (200, "OK")
            s.loop.lifecycle.move(type(s.loop.lifecycle.state).DEAD)
            assert (await s.ask("GET", "/health")).status == 200
            assert (await s.ask("GET", "/leaderhealth")).status == 502

    run(test)


def test_heads_and_other_methods() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create()
            for path in ("/api/v1/tasks", JOB, "/metrics", "/api/v1/events", "/health", "/offers"):
                answer = await s.ask("HEAD", path)
                assert (answer.status, await answer.read()) == (200, b""), path
            for method, path, allowed in [
                ("PUT", "/api/v1/jobs", "GET, HEAD, POST"),
                ("GET", f"{JOB}/kill", "POST"),
                ("DELETE", JOB, "GET, HEAD"),
                ("OPTIONS", "/api/v1/jobs", "GET, HEAD, POST"),
                ("GET", "/quitquitquit", "POST"),
                ("POST", "/health", "GET, HEAD"),
            ]:
                answer = await s.ask(method, path)
                assert (answer.status, answer.headers["Allow"]) == (405, allowed), (method, path)
                assert json.loads(await answer.text())["error"]["code"] == "METHOD_NOT_ALLOWED"
            for path in ("/api", "/api/v1", "/api/v1/", "/api/v2/jobs", f"{JOB}/", f"{JOB}/instances/0", "//"):
                await s.refused("GET", path, status=404, code="NOT_FOUND")

    run(test)


def test_jobs_of_any_name_can_be_asked_for() -> None:
    async def test() -> None:
        async with serving() as s:
            for name in ("%2e%2e", "a%2Fb", "%00", "%ff", "%F0%9F%92%A9", "*"):
                await s.refused("GET", f"/api/v1/jobs/www/prod/{name}", status=404, code="NOT_FOUND")
            assert job().key == making.JOB

    run(test)
