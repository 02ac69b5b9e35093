"""`/metrics` as Prometheus reads it, `/vars` under the original's names; neither looks at every task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scheduler.core.explain import NO_EXECUTOR, NO_OFFERS, RESERVED
from scheduler.core.filters import MaintenanceMode
from scheduler.core.resources import ResourceType
from scheduler.core.vetoes import HOST_IS_DEDICATED, constraint_mismatch, insufficient, limit_not_satisfied, maintenance
from scheduler.metrics import NOT_COUNTED, OTHER, kind_of
from scheduler.store.task_table import TaskTable
from tests.scheduler.api.served import JOB, Served, run, serving
from tests.scheduler.core import making

Told = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scrape(s: Served) -> Told:
    """(name, labels) -> value of each sample."""
    answer = await s.ask("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found: Told = {}
    for family in text_string_to_metric_families(await answer.text()):
        assert family.documentation.endswith("."), family.name
        assert family.type in ("gauge", "counter", "histogram"), family.name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def value(told: Told, name: str, **labels: str) -> float:
    return told[f"aurora_{name}", tuple(sorted(labels.items()))]


async def busy(s: Served) -> None:
    s.loop.backups.succeeded, s.loop.backups.failed, s.loop.backups.last_at = 2, 1, 9.0
    s.registered()
    s.offers(making.offer(1, rack="a"), making.offer(2, rack="a"))
    await s.create(4, task_config=making.config(making.limit("rack", 1)))
    await s.until(lambda: s.active(0).status == "ASSIGNED")
    s.status(s.active(0).id, "RUNNING")
    await s.until(lambda: any(reason for reason in s.loop.engine.refusals.tasks_by_reason()))


def test_what_prometheus_hears() -> None:
    async def test() -> None:
        async with serving() as s:
            await busy(s)
            s.loop.describe_mesos = lambda: {"events": {"OFFERS": 3}, "calls": {"ACCEPT": 2}, "failed_calls": {}}
            told = await scrape(s)
            assert value(told, "tasks", status="RUNNING") == 1
            assert value(told, "tasks", status="PENDING") == 3
            assert value(told, "tasks", status="LOST") == 0
            assert value(told, "pending_tasks", reason="Limit not satisfied") == 3
            assert value(told, "pending_tasks", reason=NOT_COUNTED) == 0
            assert value(told, "offers") == 1
            assert value(told, "tasks_assigned_total") == 1
            assert value(told, "scheduling_latency_seconds_count") == 1
            assert value(told, "scheduling_latency_seconds_bucket", le="+Inf") == 1
            assert value(told, "commit_seconds_count") == value(told, "commit_seconds_bucket", le="+Inf") >= 3
            assert value(told, "mesos_subscribed") == 1
            assert value(told, "mesos_events_total", type="OFFERS") == 3
            assert value(told, "mesos_calls_total", type="ACCEPT") == 2
            assert value(told, "status_updates_total", reason="NONE", result="SUCCESS") == 1
            assert value(told, "lifecycle", state="LEADER_AWAITING_REGISTRATION") == 1
            assert value(told, "events_published_total") >= 6
            assert value(told, "event_readers") == 0
            assert value(told, "stored", table="tasks") == 4
            assert value(told, "snapshots_total") == 0
            assert value(told, "backups_total") == 2
            assert value(told, "failed_backups_total") == 1
            assert value(told, "last_backup_timestamp_seconds") == 9
            assert told["process_resident_memory_bytes", ()] > 1e6

    run(test)


def test_requests_are_counted_by_route() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create()
            for path in (JOB, "/api/v1/jobs/a/prod/b", "/none/1", "/none/2", f"{JOB}/x"):
                await s.ask("GET", path)
            told = await scrape(s)
            route = "/api/v1/jobs/{role}/{env}/{name}"
            assert value(told, "http_requests_total", method="GET", route=route, status="200") == 1
            assert value(told, "http_requests_total", method="GET", route=route, status="404") == 1
            assert value(told, "http_requests_total", method="POST", route="/api/v1/jobs", status="201") == 1
            assert value(told, "http_requests_total", method="", route="", status="404") == 3
            assert value(told, "http_request_seconds_total", method="GET", route=route) > 0

    run(test)


def test_a_scrape_does_not_look_at_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted: tasks that were walked over."""
    walked: list[str] = []

    def counted(self: TaskTable, *args: Any) -> Iterator[Any]:
        walked.append("walk")
        return iter(())

    async def test() -> None:
        async with serving() as s:
            await busy(s)
            for name in ("all", "select", "page", "active_of_job"):
                monkeypatch.setattr(TaskTable, name, counted)
            assert await scrape(s)
            assert (await s.ask("GET", "/vars")).status == 200
            assert walked == []

    run(test)


def test_the_originals_variables() -> None:
    async def test() -> None:
        async with serving() as s:
            await busy(s)
            known = await s.get("/vars.json")
            assert {
                name: known[name]
                for name in (
                    "task_store_RUNNING", "task_store_PENDING", "framework_registered", "outstanding_offers",
                    "scheduler_lifecycle_ACTIVE", "http_500_responses_events", "scheduler_status_update",
                    "status_update_NONE_SUCCESS", "uncaught_exceptions", "scheduler_backup_success",
                    "scheduler_backup_failed",
                )
            } == {
                "task_store_RUNNING": 1, "task_store_PENDING": 3, "framework_registered": 1, "outstanding_offers": 1,
                "scheduler_lifecycle_ACTIVE": 0, "http_500_responses_events": 0, "scheduler_status_update": 1,
                "status_update_NONE_SUCCESS": 1, "uncaught_exceptions": 0, "scheduler_backup_success": 2,
                "scheduler_backup_failed": 1,
            }  # fmt: skip
            assert known["scheduling_veto_limit_not_satisfied"] >= 1
            assert known["scheduler_log_native_append_nanos_per_event"] > 0
            lines = (await (await s.ask("GET", "/vars")).text()).splitlines()
            assert [line.split(" ")[0] for line in lines] == sorted(known)
            assert "task_store_RUNNING 1" in lines

    run(test)


def test_reasons_are_of_a_few_kinds() -> None:
    """Whatever constraints are called, and however many reasons there are."""
    texts = [insufficient(kind, 1).text for kind in ResourceType]
    texts += [maintenance(mode).text for mode in MaintenanceMode]
    texts += [HOST_IS_DEDICATED.text, RESERVED, NO_EXECUTOR, NO_OFFERS]
    kinds = {kind_of(text) for text in texts}
    assert OTHER not in kinds
    names = [f"rack{n}" for n in range(100)] + ["a,b", "Insufficient: CPU"]
    kinds |= {
        kind_of(f"{veto(name).text},{texts[0]}")
        for name in names
        for veto in (constraint_mismatch, limit_not_satisfied)
    }
    assert len(kinds) <= 14
    assert kind_of(NO_OFFERS) == NO_OFFERS
    assert kind_of("Insufficient: RAM,Insufficient: CPU") == "Insufficient: RAM"
    assert kind_of("") == NOT_COUNTED
    assert kind_of("Something new") == OTHER
