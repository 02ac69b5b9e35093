"""The scheduler's pages in a real Chromium: the talk's story, live, by keyboard, without JavaScript, on a phone."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from scheduler.core.model import JobKey
from scheduler.core.update_model import JobUpdateAction, JobUpdateStatus
from tests.browser import PATIENCE_MS
from tests.scheduler.api.served import Served
from tests.scheduler.ui.conftest import Site, serve
from tests.scheduler.ui.world import BIG, STUCK, WEB, Story, agents, config, move, run_job

pytestmark = pytest.mark.browser

_A, _U = JobUpdateAction, JobUpdateStatus

NEW = JobKey(role="www", environment="test", name="fresh")

UPDATE = f"/scheduler/{WEB}/update/00000001-0000-4000-8000-000000000000"

PAGES = (
    "/scheduler", "/scheduler?q=e", "/scheduler/www", f"/scheduler/{WEB}", f"/scheduler/{WEB}?tab=completed",
    f"/scheduler/{BIG}", f"/scheduler/{BIG}/config", f"/scheduler/{WEB}/2", f"/scheduler/{STUCK}/0", "/updates", UPDATE,
    f"/scheduler/{BIG}/update/active", "/pending", "/cluster", "/quota", "/scheduler/none",
)  # fmt: skip

#: Pages that are made of the same as others.
ALIKE = {"/scheduler/www", f"/scheduler/{WEB}?tab=completed", f"/scheduler/{BIG}/update/active"}


def connected(page: Page) -> None:
    expect(page.locator("#pulse")).to_have_text("live")


# --- the story


def test_from_the_roles_to_an_instance_and_back(page: Page, site: Site) -> None:
    page.goto("/")
    page.locator("#roles").get_by_role("link", name="www", exact=True).click()
    page.locator("#jobs").get_by_role("link", name="webserver", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(str(WEB))
    page.get_by_text("show config").click()
    expect(page.locator("#configuration pre")).to_contain_text("./run 1")
    row = page.locator("#tasks tbody tr").first
    row.locator("summary").click()
    expect(row.locator(".states")).to_contain_text("Initializing sandbox.")
    page.get_by_role("link", name="Completed tasks (1)").click()
    expect(page.locator("#tasks tbody tr")).to_contain_text("exit code 3")
    page.get_by_role("link", name="All tasks (5)").click()
    page.get_by_role("searchbox").fill("FAIL")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#tasks tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile(r"tab=all.*q=FAIL|q=FAIL.*tab=all"))
    page.get_by_role("navigation", name="Where you are").get_by_role("link", name="test").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("www/test")


def update_of(version: str) -> dict[str, Any]:
    """What `aurora update start` sends."""
    wanted = msgspec.to_builtins(config(NEW, version))
    how = {"updateGroupSize": 2, "minWaitInInstanceRunningMs": 300, "rollbackOnFailure": True}
    return {"taskConfig": wanted, "instanceCount": 4, "settings": how, "message": f"version {version}"}


def test_an_update_is_seen_from_its_start_until_it_is_rolled_back(page: Page, site: Site) -> None:
    """The scheduler does all of it; only the hosts are made up. The second version exits, and is taken back."""
    working = []

    async def begin(s: Served) -> None:
        working.append(asyncio.create_task(agents(s, NEW, broken="2")))

    site.do(begin)
    first = site.do(lambda s: s.post(f"/api/v1/jobs/{NEW}/updates", update_of("1"), status=201))
    page.goto(f"/scheduler/{NEW}")
    connected(page)
    page.evaluate("window.sameDocument = true")
    rows = page.locator("#tasks tbody tr")
    expect(rows.filter(has_text="RUNNING")).to_have_count(4)
    expect(page.locator("#updates")).to_contain_text("ROLLED FORWARD")

    second = site.do(lambda s: s.post(f"/api/v1/jobs/{NEW}/updates", update_of("2"), status=201))
    expect(page.locator("#updates")).to_contain_text("ROLLED BACK", timeout=2 * PATIENCE_MS)
    expect(rows.filter(has_text="RUNNING")).to_have_count(4)
    expect(page.get_by_role("link", name=re.compile(r"Completed tasks \([1-9]"))).to_be_visible()
    assert page.evaluate("window.sameDocument"), "it was not loaded anew"

    page.locator("#updates").get_by_role("link", name=second["key"]["id"][:8]).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Update rolled back")
    expect(page.locator("#history")).to_contain_text("Latest failure: instance")
    expect(page.locator("#change .d-come").first).to_contain_text("./run 2")
    page.goto(f"/scheduler/{NEW}/update/{first['key']['id']}")
    expect(page.locator("#instances .c-updated.square")).to_have_count(4)


def test_the_grid_of_an_update_is_seen_to_change(page: Page, site: Site) -> None:
    told: list[Story] = []

    async def begin(s: Served) -> None:
        told.append(Story(s, 7, WEB, config(WEB, "1"), config(WEB, "2"), 4))
        await told[0].begin("a new version")
        await move(s, WEB, [0], "KILLING", "Killed for job update")

    page.goto(f"/scheduler/{WEB}")
    connected(page)
    site.do(begin)
    page.get_by_role("link", name="Update in progress").click()
    connected(page)
    page.evaluate("window.sameDocument = true")
    expect(page.locator("#instances .c-untouched.square")).to_have_count(4)

    async def fail(s: Served) -> None:
        await told[0].instances(_A.INSTANCE_UPDATING, 0, 1)
        await told[0].instances(_A.INSTANCE_UPDATE_FAILED, 0)
        await told[0].status(_U.ROLLING_BACK, "Latest failure: instance 0 exited.")
        await move(s, WEB, [1], "KILLING", "Killed for job update")

    site.do(fail)
    expect(page.get_by_role("heading", level=1)).to_have_text("Update is rolling back")
    expect(page.locator("#instances .c-update-failed.square")).to_have_count(1)
    assert page.evaluate("window.sameDocument"), "it was not loaded anew"


def test_a_status_is_seen_live_and_what_was_opened_stays_open(page: Page, site: Site) -> None:
    page.goto(f"/scheduler/{WEB}")
    connected(page)
    page.evaluate("window.sameDocument = true")
    page.get_by_text("show config").click()
    page.get_by_role("searchbox").focus()
    page.keyboard.type("half a w")
    site.do(lambda s: move(s, WEB, [0], "FAILED", "out of memory"))
    expect(page.get_by_role("link", name="Completed tasks (2)")).to_be_visible()
    expect(page.locator("#tasks tbody tr").first).not_to_contain_text("RUNNING")
    expect(page.locator("#configuration pre")).to_be_visible()
    assert page.get_by_role("searchbox").input_value() == "half a w", "nobody's typing is disturbed"
    assert page.evaluate("window.sameDocument && document.activeElement.id") == "q"


def test_a_pending_instance_says_why_until_it_runs(page: Page, site: Site) -> None:
    page.goto("/pending")
    page.locator("#groups").get_by_role("link", name="why, host by host").first.click()
    expect(page.locator("#why")).to_contain_text("Insufficient: CPU")
    expect(page.locator("#why tbody tr")).not_to_have_count(0)


# --- without JavaScript, keyboard, phone


def test_everything_works_without_javascript(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("ww")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#roles tbody tr")).to_have_count(1)
    page.goto(f"/scheduler/{BIG}")
    expect(page.locator("#tasks tbody tr")).to_have_count(25)
    page.get_by_role("link", name="On →").click()
    expect(page.locator("#tasks tbody tr").first).to_contain_text("25")
    page.locator("#tasks th").get_by_role("link", name="Instance").click()
    expect(page.locator("#tasks tbody tr").first).to_contain_text("59")
    page.goto(f"/scheduler/{WEB}")
    page.get_by_text("show config").click()
    expect(page.locator("#configuration pre")).to_be_visible()
    page.goto(UPDATE)
    expect(page.locator("#timeline svg")).to_be_visible()
    context.close()


def test_the_keyboard_is_enough(page: Page, site: Site) -> None:
    page.goto(f"/scheduler/{BIG}/update/active")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    stops = []
    for _ in range(150):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('section')?.id || document.activeElement.tagName"))
    sections = [each for each in dict.fromkeys(stops) if each in {"facts", "waits", "instances", "change", "events"}]
    assert sections == ["facts", "waits", "instances", "change", "events"], "the focus goes as the eye does"
    page.goto("/scheduler")
    page.keyboard.press("/")
    page.keyboard.type("ad")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/scheduler\?q=ad$"))


@pytest.mark.parametrize("width", [390, 768])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: Site, width: int) -> None:
    context = browser.new_context(base_url=site.url, viewport={"width": width, "height": 844})
    page = context.new_page()
    for address in PAGES:
        page.goto(address)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{address} is {too_wide} px too wide"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: Site, scheme: str) -> None:
    """In the dark only colours are different. A list is as good as another, a short one as a long one."""
    context: BrowserContext = browser.new_context(
        base_url=site.url, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
    )
    options = {"runOnly": ["color-contrast"]} if scheme == "dark" else {}
    page = context.new_page()
    for address in (each for each in PAGES if each not in ALIKE):
        page.goto(address)
        results = Axe().run(page, options=options)
        assert results.violations_count == 0, f"{address} ({scheme})\n{results.generate_report()}"
        passed = {check["id"] for check in results.response["passes"]}
        looked = {"color-contrast", "document-title", "html-has-lang", "landmark-one-main"}
        assert passed >= (looked if scheme == "light" else {"color-contrast"}), "axe looked"
    context.close()


def test_texts_cannot_run_anything(browser: Browser) -> None:
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    with serve(evil) as site:
        context = browser.new_context(base_url=site.url)
        page = context.new_page()
        for address in PAGES:
            answer = page.goto(address)
            assert answer is not None and "script-src 'self'" in (answer.header_value("content-security-policy") or "")
            assert page.evaluate("window.hacked") is None, address
        page.goto(f"/scheduler/{WEB}?tab=completed")
        expect(page.locator("#tasks")).to_contain_text("onerror=")
        context.close()


def test_a_page_that_is_not_seen_lets_go_of_the_stream(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto(f"/scheduler/{WEB}")
    connected(page)
    hide = """hidden => {
        Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    page.evaluate(hide, True)
    page.clock.run_for(6_000)
    site.do(lambda s: run_job(s, config(WEB, "1"), 0))
    site.do(lambda s: move(s, WEB, [1], "FAILED", "unseen"))
    page.evaluate(hide, False)
    expect(page.get_by_role("link", name="Completed tasks (2)")).to_be_visible()
