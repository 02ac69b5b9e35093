"""The observer in a real Chromium: a walk through its pages, live, by keyboard, without JavaScript, on a phone."""

from __future__ import annotations

import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.observer.build import TaskBuilder
from tests.observer.ui.conftest import Site, recently
from thermos.core.states import TaskState
from thermos.model import ProcessSpec

pytestmark = pytest.mark.browser

#: Seconds for what an event brings and usually takes a fraction of one; the figure is printed.
SOON_S = 10.0


def web_task(site: Site, task_id: str = "www-hello", *, settle: bool = True) -> TaskBuilder:
    """fetch is done, cache has failed, server runs, smoke waits; a finalizer."""
    processes = (
        ProcessSpec(name="fetch", cmdline="curl -O x"),
        ProcessSpec(name="cache", cmdline="exit 3", ephemeral=True),
        ProcessSpec(name="server", cmdline="exec ./server --port 31000"),
        ProcessSpec(name="smoke", cmdline="curl localhost"),
        ProcessSpec(name="clean", cmdline="rm -r x", final=True),
    )
    order = (("fetch", "server", "smoke"), ("fetch", "cache"))
    task = site.builder.task(task_id, processes=processes, order=order, at=recently(), name="hello")
    task.run("fetch").run("cache", code=3).start("server")
    task.log(
        "server", 0, "stdout", "".join(f"2026-11-22 17:{i // 60:02d}:{i % 60:02d} request {i}\n" for i in range(900))
    )
    task.log("server", 0, "stderr", "\x1b[31merror\x1b[0m: <b>disk</b> nearly full\n")
    if settle:
        site.settle()
    return task


def watch_for(page: Page, selector: str, text: str) -> None:
    """Note in the page when `text` first stands in `selector`."""
    page.evaluate(
        """([selector, text]) => {
            const look = () => {
                const node = document.querySelector(selector);
                if (!window.seenAt && node && node.textContent.includes(text)) window.seenAt = Date.now();
            };
            window.seenAt = 0;
            new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
            look();
        }""",
        [selector, text],
    )


def seen_after(page: Page, begun: float) -> float:
    """Seconds from `begun` until the page had it."""
    return float(page.evaluate("window.seenAt")) / 1000 - begun


def connected(page: Page) -> None:
    expect(page.locator("#pulse")).to_have_text("live")


# --- the walk


def test_from_the_list_to_a_log_that_grows_and_rotates_to_a_download(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/")
    page.get_by_role("link", name="www-hello", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("www-hello")
    page.locator("#graph").get_by_role("link", name=re.compile("^server:")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("server")
    expect(page.locator("#stderr .f1")).to_have_text("error")
    page.locator("#headline").get_by_role("link", name="stdout").click()
    log = page.locator("#log")
    expect(log).to_contain_text("request 899")
    expect(page.locator("#pulse")).to_have_text("following")

    watch_for(page, "#log", "it grows")
    begun = time.time()
    task.log("server", 0, "stdout", "it grows\n")
    expect(log).to_contain_text("it grows")
    print(f"a new log line was seen after {seen_after(page, begun):.2f} s")

    task.log("server", 0, "stdout", "last line before")
    task.log("server", 0, "stdout", " it rotates\n")
    task.rotate("server", 0, "stdout")
    task.log("server", 0, "stdout", "first line of the middle file\n")
    task.rotate("server", 0, "stdout")
    task.log("server", 0, "stdout", "first line of the new file\n")
    expect(log).to_contain_text("first line of the new file")
    lines = [line for line in log.locator(".text").all_inner_texts() if "request" not in line]
    assert lines == [
        "it grows",
        "last line before it rotates",
        "first line of the middle file",
        "first line of the new file",
    ], "no line is lost or doubled by two rotations at once"

    page.get_by_role("searchbox").fill("REQUEST 77")
    page.get_by_role("button", name="Search").click()
    hits = page.locator(".hits li")
    expect(hits).to_have_count(11)
    expect(hits.first).to_contain_text("request 779")
    expect(hits.first.locator("mark")).to_have_text("request 77")
    hits.last.get_by_role("link").click()
    expect(page.locator("#log li:target")).to_contain_text("request 77")

    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text().endswith("request 899\nit grows\nlast line before it rotates\n")


def test_older_pages_lead_back_through_rotated_files(page: Page, site: Site) -> None:
    task = web_task(site)
    for part in range(3):
        task.log(
            "smoke",
            0,
            "stdout",
            "".join(f"file {part} line {i:04d} {'x' * 40}\n" for i in range(1000)),
            rotated=3 - part,
        )
    task.log("smoke", 0, "stdout", "newest\n")
    task.start("smoke")
    site.settle()
    page.goto("/logs/www-hello/smoke/0/stdout")
    expect(page.locator("#log")).to_contain_text("newest")
    found: list[str] = []
    for _ in range(12):
        older = page.get_by_role("link", name="← Older")
        if not older.count():
            break
        older.click()
        found = page.locator("#log .text").all_inner_texts() + found
    assert [line[:16] for line in found] == [f"file {part} line {i:04d}" for part in range(3) for i in range(1000)]
    expect(page.get_by_text("beginning of the log")).to_be_visible()


def test_a_log_jumps_to_a_time(page: Page, site: Site) -> None:
    web_task(site)
    page.goto("/logs/www-hello/server/0/stdout")
    page.get_by_label("Jump to").fill("2026-11-22 17:10:05")
    page.get_by_role("button", name="Go").click()
    expect(page.locator("#log li").first).to_contain_text("17:10:05 request 605")


def test_a_deleted_log_is_a_note(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/logs/www-hello/server/0/stdout")
    expect(page.locator("#pulse")).to_have_text("following")
    (task.log_dir / "server" / "0" / "stdout").unlink()
    page.get_by_role("link", name="stderr").click()
    expect(page.locator("#log")).to_contain_text("<b>disk</b> nearly full")
    page.get_by_role("link", name="stdout", exact=True).click()
    expect(page.get_by_text("There is no stdout of this run yet")).to_be_visible()
    task.log("server", 0, "stdout", "written again\n")
    expect(page.locator("#log")).to_contain_text("written again")


def test_a_log_that_shrinks_or_is_rotated_away_says_so_and_goes_on(page: Page, site: Site) -> None:
    task = web_task(site)
    path = task.log_dir / "server" / "0" / "stdout"
    page.goto("/logs/www-hello/server/0/stdout")
    log = page.locator("#log")
    expect(page.locator("#pulse")).to_have_text("following")
    path.write_text("made shorter\n")
    expect(log).to_contain_text("the log was made shorter")
    expect(log.locator("li").last).to_contain_text("made shorter")
    kept = path.open()  # so that the new file has an inode of its own
    fresh = path.with_name("fresh")
    fresh.write_text("another file\n")
    fresh.replace(path)
    expect(log).to_contain_text("rotated away; lines may be missing")
    expect(log.locator("li").last).to_contain_text("another file")
    kept.close()


def test_a_follower_that_scrolls_up_is_left_in_peace(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/logs/www-hello/server/0/stdout")
    follow = page.get_by_role("button", name="Follow")
    expect(follow).to_have_attribute("aria-pressed", "true")
    log = page.locator("#log")
    log.evaluate("node => { node.scrollTop = 100 }")
    expect(follow).to_have_attribute("aria-pressed", "false")
    task.log("server", 0, "stdout", "not yet shown\n")
    expect(page.locator("#pulse")).to_have_text("paused")
    assert log.evaluate("node => node.scrollTop") == 100
    follow.click()
    expect(log).to_contain_text("not yet shown")
    assert log.evaluate("node => node.scrollTop + node.clientHeight >= node.scrollHeight - 30")


def test_the_end_of_a_run_ends_the_following(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/logs/www-hello/server/0/stdout")
    expect(page.locator("#pulse")).to_have_text("following")
    task.log("server", 0, "stdout", "its last words")
    task.end("server")
    expect(page.locator("#pulse")).to_have_text("the run has ended")
    expect(page.locator("#log")).to_contain_text("its last words")


def test_files_are_browsed_viewed_and_fetched(page: Page, site: Site) -> None:
    task = web_task(site)
    (task.sandbox / "etc").mkdir()
    (task.sandbox / "etc" / "a <b> #1.conf").write_text("<script>alert(1)</script>\nvalue = 1\n")
    (task.sandbox / "out").symlink_to("/etc/passwd")
    page.goto("/task/www-hello")
    page.get_by_role("link", name="Files", exact=True).click()
    expect(page.get_by_role("row", name=re.compile("^out"))).to_contain_text("leaves the sandbox")
    page.get_by_role("link", name="etc/").click()
    page.get_by_role("link", name="a <b> #1.conf", exact=True).click()
    expect(page.locator(".log")).to_contain_text("<script>alert(1)</script>")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "a <b> #1.conf".replace("<", "_").replace(">", "_")


# --- live


def test_a_page_shows_an_event_within_a_second_without_a_reload(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/task/www-hello")
    connected(page)
    page.evaluate("window.sameDocument = true")
    page.locator("#config-details summary").click()
    page.evaluate("window.scrollTo(0, document.querySelector('#timeline').offsetTop)")
    top = "document.querySelector('#timeline').getBoundingClientRect().top"
    looked_at = page.evaluate(top)
    watch_for(page, '#processes tr[data-key="server"]', "FAILED")
    begun = time.time()
    task.end("server", code=7)
    row = page.locator('#processes tr[data-key="server"]')
    expect(row).to_contain_text("FAILED")
    seconds = seen_after(page, begun)
    print(f"the end of a process was seen after {seconds:.2f} s")
    assert seconds < SOON_S
    expect(page.locator("#graph a.d-failed, #graph a.d-retry")).not_to_have_count(0)
    assert page.evaluate("window.sameDocument"), "it was not loaded anew"
    assert abs(page.evaluate(top) - looked_at) < 40, "what is looked at stays in place"
    assert page.locator("#config-details").get_attribute("open") is not None, "what was opened stays open"


def test_the_list_shows_tasks_that_come_and_go(page: Page, site: Site) -> None:
    first = web_task(site, "first")
    page.goto("/")
    connected(page)
    page.get_by_role("searchbox").focus()
    watch_for(page, "#active", "second")
    begun = time.time()
    web_task(site, "second", settle=False)
    expect(page.locator("#active")).to_contain_text("second")
    print(f"a new task was seen after {seen_after(page, begun):.2f} s")
    first.end("server").finish(TaskState.FAILED)
    expect(page.locator("#finished")).to_contain_text("first")
    expect(page.locator("#active")).not_to_contain_text("first")
    assert page.evaluate("document.activeElement.id") == "q", "the focus stays"


def test_the_slider_travels_in_time(page: Page, site: Site) -> None:
    task = web_task(site)
    page.goto("/task/www-hello")
    connected(page)
    slider = page.get_by_role("slider")
    last = int(slider.get_attribute("max") or 0)
    assert slider.input_value() == str(last)
    server = page.locator('#processes tr[data-key="server"]')
    expect(server).to_contain_text("RUNNING")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(server).to_contain_text("WAITING")
    expect(page.locator("#travel")).to_contain_text(f"record {last - 3} of {last}")
    expect(page).to_have_url(re.compile(rf"\?at={last - 3}$"))  # the address can be sent to somebody
    assert page.evaluate("document.activeElement.id") == "at"
    task.end("server")
    site.settle()
    page.goto(page.url)
    expect(server).to_contain_text("WAITING")
    page.get_by_role("link", name="Back to now").click()
    expect(server).to_contain_text("SUCCESS")


# --- without JavaScript, keyboard, phone, print


def test_everything_works_without_javascript(browser: Browser, site: Site) -> None:
    web_task(site)
    web_task(site, "other")
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("searchbox").fill("www-")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#active tbody tr")).to_have_count(1)
    page.get_by_role("link", name="www-hello", exact=True).click()
    expect(page.locator("#graph svg")).to_be_visible()
    expect(page.locator("#timeline svg")).to_be_visible()
    page.get_by_role("link", name="One record earlier").click()
    expect(page.locator("#travel")).to_contain_text("The task as it was")
    expect(page.get_by_role("button", name="Go there")).to_be_visible()
    page.get_by_role("link", name="stdout of server").click()
    page.get_by_role("searchbox").fill("request 12")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(".hits li").first).to_contain_text("request 129")
    context.close()


def test_the_keyboard_is_enough(page: Page, site: Site) -> None:
    web_task(site)
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("www-")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?q=www-$"))
    page.wait_for_load_state()  # the address is there before the page is
    page.get_by_role("link", name="www-hello", exact=True).press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("www-hello")
    stops = []
    for _ in range(60):
        page.keyboard.press("Tab")
        stops.append(page.evaluate("document.activeElement.closest('section')?.id || document.activeElement.tagName"))
    sections = list(dict.fromkeys(s for s in stops if s in {"travel", "facts", "graph", "processes", "timeline"}))
    assert sections == ["travel", "facts", "graph", "processes", "timeline"], "the focus goes as the eye does"


PAGES = (
    "/", "/main/all?sort=id", "/task/www-hello", "/task/www-hello?at=4", "/process/www-hello/server",
    "/logs/www-hello/server/0/stdout?q=request", "/logs/www-hello/server/0/stderr", "/browse/www-hello",
    "/file/www-hello/notes.txt", "/rawtask/www-hello", "/task/nothing",
)  # fmt: skip


@pytest.mark.parametrize("width", [390, 768])
def test_no_page_is_wider_than_the_screen(browser: Browser, site: Site, width: int) -> None:
    task = web_task(site, "www-hello")
    (task.sandbox / "notes.txt").write_text("x" * 500 + "\n")
    context = browser.new_context(base_url=site.url, viewport={"width": width, "height": 844})
    page = context.new_page()
    for address in PAGES:
        page.goto(address)
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide <= 0, f"{address} is {too_wide} px too wide"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: Site, scheme: str) -> None:
    task = web_task(site)
    (task.sandbox / "notes.txt").write_text("hello\n")
    web_task(site, "over").end("server", code=1).stop("server", killed=[(7, "sh")]).finish(TaskState.KILLED)
    site.settle()
    context: BrowserContext = browser.new_context(
        base_url=site.url, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
    )
    page = context.new_page()
    for address in (*PAGES, "/task/over", "/process/over/server"):
        page.goto(address)
        results = Axe().run(page)
        assert results.violations_count == 0, f"{address} ({scheme})\n{results.generate_report()}"
        passed = {check["id"] for check in results.response["passes"]}
        assert {"color-contrast", "document-title", "html-has-lang", "landmark-one-main"} <= passed, "axe looked"
    context.close()


def test_names_and_logs_cannot_run_anything(page: Page, site: Site) -> None:
    evil = '<img src=x onerror="window.hacked=1"><script>window.hacked=1<'
    task = site.builder.task("evil", processes=(ProcessSpec(name=evil, cmdline=evil),), at=recently(), name=evil)
    task.start(evil).log(evil, 0, "stdout", f"{evil}/script>\n\x1b]8;;javascript:window.hacked=1\x07link\n")
    (task.sandbox / evil).write_text(evil)
    site.settle()
    for address in ("/", "/task/evil", "/browse/evil", "/rawtask/evil", f"/?q={evil}"):
        page.goto(address)
        assert page.evaluate("window.hacked") is None
    page.goto("/task/evil")
    page.locator("#processes tbody th a").click()
    page.locator("#headline").get_by_role("link", name="stdout").click()
    expect(page.locator("#log")).to_contain_text("onerror=")
    assert page.evaluate("window.hacked") is None


def test_the_policy_stops_what_would_slip_through(page: Page, site: Site) -> None:
    """The page's Content-Security-Policy is in force: an inline script does not run even if one got in."""
    web_task(site)
    answer = page.goto("/task/www-hello")
    assert answer is not None
    assert "script-src 'self'" in (answer.header_value("content-security-policy") or "")
    context = page.context
    other = context.new_page()
    other.goto("/task/www-hello")
    other.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hacked = 1";
            document.body.append(script);
        }"""
    )
    assert other.evaluate("window.hacked") is None


def test_print_shows_the_page_without_its_furniture(page: Page, site: Site) -> None:
    web_task(site)
    page.goto("/task/www-hello")
    page.emulate_media(media="print")
    expect(page.get_by_role("navigation", name="Main")).to_be_hidden()
    expect(page.locator("#timeline svg")).to_be_visible()


def test_long_lists_are_paged_sorted_and_searched(page: Page, site: Site) -> None:
    for number in range(45):
        site.builder.task(f"job-{number:02d}", at=recently() + number).run("main").finish()
    site.settle()
    page.goto("/")
    page.get_by_role("link", name="All finished tasks").click()
    expect(page.get_by_text("1 to 20 of 45")).to_be_visible()
    expect(page.locator("tbody th a").first).to_have_text("job-44")
    page.get_by_role("link", name="Older").click()
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_text("41 to 45 of 45")).to_be_visible()
    page.get_by_label("Sort by").select_option("id")
    expect(page).to_have_url(re.compile("sort=id"))
    expect(page.locator("tbody th a").first).to_have_text("job-00")
    page.get_by_role("columnheader", name="Task").get_by_role("link").click()
    expect(page.locator("tbody th a").first).to_have_text("job-44")
    expect(page.get_by_role("columnheader", name="Task")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("searchbox").fill("job-1")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(10)
