"""Every page over a real socket, with everything on it: complete, well-formed, and safe whatever its texts are."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from urllib.parse import quote

import pytest
from msgspec import structs

from scheduler.core.update_model import JobUpdateStatus
from scheduler.ui.table import PAGES
from tests.scheduler.api.served import Served, run, serving
from tests.scheduler.api.test_security import basic
from tests.scheduler.core import making
from tests.scheduler.ui.markup import HOSTILE, addresses, check, text_of
from tests.scheduler.ui.world import BIG, CRON, STUCK, WEB, Story, active, config, create, fill, move, run_job

#: The update that BIG is in.
UPDATE = f"/scheduler/{BIG}/update/00000002-0000-4000-8000-000000000000"

BROWSER = {"Accept": "text/html,application/xhtml+xml"}

ADDRESSES = (
    "/scheduler", "/scheduler/www", "/scheduler/www/test", f"/scheduler/{WEB}", f"/scheduler/{WEB}?tab=completed",
    f"/scheduler/{WEB}?tab=all&sort=updated", f"/scheduler/{BIG}?status=RUNNING&offset=25", f"/scheduler/{BIG}/config",
    f"/scheduler/{WEB}/0", f"/scheduler/{WEB}/2", f"/scheduler/{STUCK}", f"/scheduler/{STUCK}/0", f"/scheduler/{CRON}",
    f"/scheduler/{CRON}/config", UPDATE, f"{UPDATE}?q=updated&offset=25",
    f"/scheduler/{WEB}/update/00000001-0000-4000-8000-000000000000", "/updates", "/pending", "/cluster", "/quota",
)  # fmt: skip


async def html(s: Served, address: str, status: int = 200) -> str:
    answer = await s.ask("GET", address, headers=BROWSER)
    text = await answer.text()
    assert answer.status == status, f"{address}: {answer.status} {text_of(text)[-300:]}"
    assert answer.content_type == "text/html"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    return text


def fragment(address: str) -> str:
    return address + ("&" if "?" in address else "?") + "fragment=1"


async def task_page(s: Served) -> str:
    failed = next(t for t in s.tables.tasks.all() if t.config.job == WEB and t.status == "FAILED")
    return f"/scheduler/{WEB}/task/{failed.id}"


def test_every_page_is_well_formed_and_its_fragment_is_part_of_it() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            for address in (*ADDRESSES, await task_page(s)):
                whole = check(await html(s, address))
                part = check(await html(s, fragment(address)), whole=False)
                assert set(part.ids) <= set(whole.ids), address
                assert (await s.ask("HEAD", address)).status == 200

    run(test)


def test_every_link_leads_somewhere() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s, big=30)
            seen, todo = set[str](), {"/scheduler"}
            while todo and len(seen) < 400:
                address = todo.pop()
                seen.add(address)
                answer = await s.ask("GET", address, headers=BROWSER)
                assert answer.status in (200, 302), f"{address}: {answer.status}"
                if answer.content_type == "text/html":
                    todo |= addresses(await answer.text()) - seen
            assert len(seen) > 100, "all kinds of pages were seen"

    run(test)


@cache
def plain_ids() -> dict[str, int]:
    """How many ids each page has when nobody means ill."""
    found: dict[str, int] = {}

    async def look() -> None:
        async with serving() as s:
            await fill(s, "x", big=16)
            for address in ADDRESSES:
                found[address] = len(check(await html(s, address)).ids)

    run(look)
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_somebody_wrote_becomes_markup(name: str) -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s, name, big=16)
            for address in ADDRESSES:
                assert len(check(await html(s, address)).ids) == plain[address], address
            for address in (f"/scheduler/{WEB}?tab=completed", f"/scheduler/{WEB}/0", "/updates"):
                hostile = f"{address}{'&' if '?' in address else '?'}q={quote(name, safe='')}"
                check(await html(s, hostile))

    plain = plain_ids()
    run(test)


def test_refusals_are_pages_for_browsers_and_json_for_programs() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.create()
            for address, words in (
                ("/scheduler/none", "there is no job of none"),
                ("/scheduler/www/none", "there is no job of www/none"),
                ("/scheduler/www/prod/none", "there is no job www/prod/none"),
                ("/scheduler/www/prod/web/7", "there is no instance 7"),
                ("/scheduler/www/prod/web/x", "there is no instance x"),
                ("/scheduler/www/prod/web/task/x", "it may have been pruned"),
                ("/scheduler/www/prod/web/update/x", "there is no update x"),
                ("/scheduler/www/prod/web/update/active", "there is no update of www/prod/web in progress"),
                ("/assets/none.js", "there is no file none.js"),
                ("/nothing", "there is no such address"),
            ):
                page = await html(s, address, 404)
                check(page)
                assert words in text_of(page), address
                assert words in await s.refused("GET", address, status=404, code="NOT_FOUND")
            for address in ("/scheduler?sort=x", "/cluster?offset=-1", "/updates?num=101", "/pending?q=" + "a" * 1001):
                await html(s, address, 400)
            answer = await s.ask("POST", "/scheduler", headers=BROWSER)
            assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")

    run(test)


def test_an_empty_cluster_has_pages_too() -> None:
    async def test() -> None:
        async with serving() as s:
            for address, words in (
                ("/scheduler", "There are no jobs yet"),
                ("/scheduler", "not connected to Mesos"),
                ("/updates", "None."),
                ("/pending", "Nothing waits."),
                ("/cluster", "No host was heard of yet."),
                ("/quota", "There are no roles yet."),
            ):
                page = await html(s, address)
                check(page)
                assert words in text_of(page), address
            assert (await s.ask("GET", "/")).headers["Location"] == "/scheduler"
            for written, meant in (
                ("/scheduler/", "/scheduler"),
                ("/scheduler/www/?q=%2Fx", "/scheduler/www?q=%2Fx"),
                ("/scheduler/a/b/c/", "/scheduler/a/b/c"),
                ("/scheduler/a%2F/b/c/0/", "/scheduler/a%2F/b/c/0"),
            ):
                answer = await s.ask("GET", written)
                assert (answer.status, answer.headers["Location"]) == (302, meant)

    run(test)


def test_the_job_page_tells_the_story_of_the_talk() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, f"/scheduler/{WEB}"))
            for words in (
                "Active tasks (4)", "Completed tasks (1)", "All tasks (5)", "Configuration overview", "0-3",
                "show config", "0.50 cpu, 256 MiB RAM, 1 GiB disk, port http", "Initializing sandbox.", "PENDING",
                "ASSIGNED", "STARTING", "RUNNING", "ROLLED BACK", "host = limit:10", "./run 1",
            ):  # fmt: skip
                assert words in text, words
            page = await html(s, f"/scheduler/{WEB}")
            running = next(task for task in active(s, WEB) if task.status == "RUNNING")
            observer = f"http://{running.assigned_task.slave_host}:1338/task/{running.id}"
            assert f'href="{observer}"' in page
            ended = text_of(await html(s, f"/scheduler/{WEB}?tab=completed"))
            assert "exit code 3" in ended and "ran for" in ended
            assert "Update in progress" in text_of(await html(s, f"/scheduler/{BIG}"))

    run(test)


def test_configurations_of_a_job_are_compared() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB, "1"), [0, 1, 2, 5]))
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB, "2"), [3]))
            page = text_of(await html(s, f"/scheduler/{WEB}"))
            assert "0-2, 5" in page and "Compare configurations" in page
            compared = await html(s, f"/scheduler/{WEB}/config")
            assert "from 0-2, 5 to 3" in text_of(compared)
            assert '<span class="d-gone">-' in compared and '<span class="d-come">+' in compared
            back = text_of(await html(s, f"/scheduler/{WEB}/config?left=1&right=0"))
            assert "from 3 to 0-2, 5" in back
            same = text_of(await html(s, f"/scheduler/{WEB}/config?left=1&right=1"))
            assert "There is no difference." in same
            fewer = text_of(await html(s, f"/scheduler/{WEB}/config?left=7&right=0"))
            assert "from 3 to 0-2, 5" in fewer, "a page stays when there are fewer"
            await html(s, f"/scheduler/{WEB}/config?left=-1", 400)

    run(test)


def test_a_very_long_configuration_is_shown_on_its_own_page() -> None:
    async def test() -> None:
        async with serving() as s:
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB, "1", "x" * 50_000), [0, 1]))
            await s.loop.act(lambda turn: s.loop.engine.insert(turn, config(WEB, "2"), [2]))
            page = await html(s, f"/scheduler/{WEB}")
            check(page)
            where = f"/scheduler/{WEB}/config?left=0&right=0"
            assert "x" * 40_000 not in page and where in addresses(page)
            assert "x" * 40_000 in await html(s, where)
            other = await html(s, f"/scheduler/{WEB}/config?left=1&right=1")
            assert "x" * 40_000 not in other and where in addresses(other)

    run(test)


def test_what_waits_says_why_host_by_host() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, f"/scheduler/{STUCK}/0"))
            for words in ("Why it waits", "Insufficient: CPU", "Insufficient: RAM", "What would help there", "at most"):
                assert words in text, words
            assert next(iter(s.loop.engine.book)).host in text
            assert "Why it waits" not in text_of(await html(s, f"/scheduler/{WEB}/0"))
            pending = text_of(await html(s, "/pending"))
            assert "3 tasks wait for a host" in pending and str(STUCK) in pending
            assert "None.".lower() not in text_of(await html(s, f"/scheduler/{STUCK}?status=PENDING")).lower()

    run(test)


def test_a_host_without_an_offer_has_no_age_and_more_hosts_can_be_seen() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            few = await html(s, f"/scheduler/{STUCK}/0?hosts=2")
            assert "Show 13 hosts" in text_of(few)
            more = next(each for each in addresses(few) if "hosts=500" in each)
            text = text_of(await html(s, more))
            assert "Show" not in text, "all of them are there"
            silent = text.partition("host-99.example")[2][:60]
            assert "none" in silent and "old" not in silent

    run(test)


def test_the_update_in_progress_is_led_to_where_it_stays() -> None:
    """A page that is open at its own address goes on when the update has ended."""

    async def test() -> None:
        async with serving() as s:
            await fill(s)
            answer = await s.ask("GET", f"/scheduler/{BIG}/update/active?q=3", headers=BROWSER)
            assert (answer.status, answer.headers["Location"]) == (302, f"{UPDATE}?q=3")

    run(test)


def test_a_job_of_which_only_an_update_is_known_has_pages() -> None:
    """It waits for a pulse before its first task; or its tasks are forgotten, and its updates are not yet."""

    async def test() -> None:
        async with serving() as s:
            job = structs.replace(WEB, role="new", name="pulsed")
            story = Story(s, 3, job, config(job, "1"), config(job, "2"), 4)
            await story.begin()
            places = ("/scheduler/new", "/scheduler/new/test", f"/scheduler/{job}", f"/scheduler/{job}/config")
            for address in places:
                text = text_of(await html(s, address))
                assert "pulsed" in text, address
            assert "No active task." in text_of(await html(s, f"/scheduler/{job}/3"))
            await html(s, f"/scheduler/{job}/4", 404)
            await html(s, "/scheduler/new/prod", 404)
            await story.status(JobUpdateStatus.ABORTED)
            for address in places:
                check(await html(s, address))
            assert "0 jobs" in text_of(await html(s, "/scheduler/new?num=50")), "it is no job any more"

    run(test)


def test_many_environments_are_not_all_named() -> None:
    async def test() -> None:
        async with serving() as s:
            for number in range(13):
                await create(s, config(structs.replace(WEB, environment=f"staging{number:02}")), 1)
            page = await html(s, "/scheduler/www")
            assert "and 1 more; search for them" in text_of(page)
            assert "/scheduler/www/staging11/webserver" in addresses(page)
            assert "1 match" in text_of(await html(s, "/scheduler/www?q=staging12"))

    run(test)


def test_jobs_of_all_roles_are_searched() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s, big=16)
            for query in ("webs", "WEBS", "www/test/webserver", "rz1/www/test"):
                page = await html(s, f"/scheduler?q={quote(query)}")
                assert "1 job matches" in text_of(page) and f"/scheduler/{WEB}" in addresses(page), query
            assert f"/scheduler/{CRON}" in addresses(await html(s, "/scheduler?q=nightly"))
            assert "0 jobs match" in text_of(await html(s, "/scheduler?q=nothing"))
            assert "match" not in text_of(await html(s, "/scheduler"))
            for number in range(60):
                await create(s, config(structs.replace(WEB, name=f"many{number}")), 1)
            page = await html(s, "/scheduler?q=many")
            assert "60 jobs" in text_of(page) and "the first 50 are shown" in text_of(page)
            assert page.count('<tr data-key="www/test/many') == 50

    run(test)


def test_events_of_an_update_are_searched() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            back = f"/scheduler/{WEB}/update/00000001-0000-4000-8000-000000000000"
            for query, count in (("2", 4), ("rolled back", 4), ("UPDATE_FAILED", 1), ("Exited", 1), ("nothing", 0)):
                page = await html(s, f"{back}?q={quote(query)}")
                events = page[page.index('id="events"') :]
                assert events.count("<tr><th scope") - bool(count) == count, query
            assert "Nothing matches" in events and f'action="{back}#events"' in events

    run(test)


def test_what_a_task_serves_is_led_to() -> None:
    links = {"http": "http://%host%:%port:http%/", "bad": "javascript:alert(1)", "none": "http://%host%:%port:none%/"}

    async def test() -> None:
        async with serving() as s:
            s.registered()
            await run_job(s, config(WEB, task_links=links), 1)
            task = active(s, WEB)[0].assigned_task
            page = await html(s, f"/scheduler/{WEB}/0")
            found = f'href="http://{task.slave_host}:{task.assigned_ports["http"]}/"'
            assert page.count(found) == 1 and "%port" not in page.split('id="states"')[0]
            assert 'href="javascript' not in page
            await move(s, WEB, [0], "FAILED")
            ended = next(t for t in s.tables.tasks.all() if t.status == "FAILED")
            assert found not in await html(s, f"/scheduler/{WEB}/task/{ended.id}"), "nothing is served any more"

    run(test)


def test_every_page_says_of_which_cluster_it_is_and_is_live() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s, big=16)
            for address in ADDRESSES:
                page = await html(s, address)
                assert "– rz1</title>" in page and '<span class="cluster">rz1</span>' in page, address
                assert '<body data-events="/live' in page, address
            assert "rz1 / www / test / webserver".replace(" / ", " ") in text_of(await html(s, f"/scheduler/{WEB}"))

    run(test)


def test_the_update_page_tells_everything() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, UPDATE))
            for words in (
                "Update in progress", "14 of 60 (23 %)", "in 8 batches", "What it waits for", "instance 14",
                "untouched (44)", "updating (2)", "updated (14)", "New against old", "60 of 60 running",
                "Batch size 8", "version 8", "INSTANCE UPDATING", "1 to 25 of 30",
            ):  # fmt: skip
                assert words in text, words
            back = text_of(await html(s, f"/scheduler/{WEB}/update/00000001-0000-4000-8000-000000000000"))
            for words in ("Update rolled back", "rolled back (4)", "Latest failure: instance 2 exited.", "by jane"):
                assert words in back, words
            listed = text_of(await html(s, "/updates"))
            assert str(BIG) in listed and "ROLLED BACK" in listed

    run(test)


def test_the_cluster_page_tells_of_hosts() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, "/cluster"))
            for words in ("13 hosts", "rack: r0", "zone: east", "DRAINING", "Active tasks", "Time to find a host"):
                assert words in text, words
            only = await html(s, "/cluster?q=rack:r1&sort=host&reverse=1")
            assert "4 match" in text_of(only)
            assert only.index("host-7.example") < only.index("host-1.example")
            drained = text_of(await html(s, "/cluster?mode=DRAINING"))
            assert "host-99.example" in drained and "host-1.example" not in drained

    run(test)


def test_quota_and_tiers_are_told() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, "/quota"))
            assert "100 cpu" in text and "4 GiB RAM" in text and "preemptible" in text

    run(test)


def test_neighbours_and_history_of_an_instance() -> None:
    async def test() -> None:
        async with serving() as s:
            await fill(s)
            text = text_of(await html(s, f"/scheduler/{WEB}/2"))
            assert "1 task that ended" in text.replace("tasks", "task") and "exit code 3" in text and "Replaces" in text
            host = next(task for task in active(s, WEB) if task.status == "RUNNING").assigned_task.slave_host
            shares = [t for t in s.tables.tasks.all() if t.assigned_task.slave_host == host and t.status == "RUNNING"]
            number = next(t.assigned_task.instance_id for t in shares if t.config.job == WEB)
            neighbour = next(t.instance for t in shares if t.config.job == BIG)
            assert str(neighbour) in text_of(await html(s, f"/scheduler/{WEB}/{number}"))

    run(test)


def test_a_page_needs_a_user_where_reading_does(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("[users]\njane = secret\n")
    users.chmod(0o600)

    async def test() -> None:
        async with serving(users=users, read_auth=True) as s:
            await fill(s, big=16)
            for address in (*ADDRESSES, "/live", "/"):
                answer = await s.ask("GET", address, headers=BROWSER)
                assert answer.status == 401 and "Basic" in answer.headers["WWW-Authenticate"], address
                assert "rz1" not in await answer.text(), "nobody is told where he is"
            answer = await s.ask("GET", "/scheduler", headers={**BROWSER, **basic("jane", "secret")})
            assert answer.status == 200
            assert (await s.ask("GET", "/assets/style.css")).status == 200, "a refusal has looks, too"

    run(test)
    for page in PAGES:
        assert page.permit is None, "nothing can be changed at a page"
        assert not page.open or page.path in ("/assets/{file}", "/favicon.ico"), page.path


def test_messages_of_all_lengths_are_told() -> None:
    async def test() -> None:
        async with serving() as s:
            s.registered()
            await create(s, structs.replace(config(WEB), resources=making.config().resources), 1)
            s.offers(making.offer(1, host="host-1.example"))
            await s.until(lambda: active(s, WEB)[0].status == "ASSIGNED")
            await move(s, WEB, [0], "RUNNING", "x" * 100_000)
            page = await html(s, f"/scheduler/{WEB}")
            check(page)
            assert len(page) < 15_000
            alone = await html(s, f"/scheduler/{WEB}/0")
            assert "x" * 1_999 + "…" in alone and "x" * 2_000 not in alone

    run(test)
