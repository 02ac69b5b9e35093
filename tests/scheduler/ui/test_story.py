"""The talk's story: `aurora update start`, and what is seen of it live, at the page that `aurora` names and at the page
of the job, until a second version is rolled back.

The command and the scheduler are real; only the hosts are made up, so that every step can be waited for.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from scheduler.core.model import JobKey
from tests.scheduler.api.served import Served
from tests.scheduler.ui.conftest import Site
from tests.scheduler.ui.world import agents

pytestmark = pytest.mark.browser

JOB = JobKey(role="www", environment="test", name="story")

CONFIG = """
server = Process(name = 'server', cmdline = './run {version}')
task = SequentialTask(processes = [server], resources = Resources(cpu = 0.5, ram = 256*MB, disk = 1*GB))
jobs = [Service(task = task, instances = 4, update_config = UpdateConfig(batch_size = 2, watch_secs = 1),
                cluster = 'rz1', role = 'www', environment = 'test', name = 'story')]
"""


def update_start(site: Site, folder: Path, version: str) -> str:
    """The address that `aurora update start` names, without the server."""
    (folder / "clusters.json").write_text(json.dumps([{"name": "rz1", "scheduler_uri": site.url}]))
    (folder / "story.aurora").write_text(CONFIG.format(version=version))
    done = subprocess.run(
        [Path(sys.executable).parent / "aurora", "update", "start", f"rz1/{JOB}", "story.aurora"],
        cwd=folder,
        env={**os.environ, "AURORA_CONFIG_ROOT": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = re.search(r"View your update progress at http://[^/]+(/\S+)", done.stdout)
    assert found is not None, done.stdout
    return found[1]


def opened(context: BrowserContext, address: str, said: list[str]) -> Page:
    """Live, and marked: a page that is loaded anew loses the mark."""
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    expect(page.locator("#pulse")).to_have_text("live")
    page.evaluate("window.sameDocument = true")
    return page


def test_an_update_is_seen_live_from_the_command_to_its_roll_back(
    context: BrowserContext, site: Site, tmp_path: Path
) -> None:
    held: set[str] = set()
    said: list[str] = []
    working = []

    async def begin(s: Served) -> None:
        working.append(asyncio.create_task(agents(s, JOB, broken="2", held=held)))

    async def hold(s: Served, versions: set[str]) -> None:
        held.clear()
        held.update(versions)

    site.do(begin)
    first = opened(context, update_start(site, tmp_path, "1"), said)
    expect(first.get_by_role("heading", level=1)).to_have_text("Update successful")
    expect(first.locator("#instances .c-updated.square")).to_have_count(4)
    job = opened(context, f"/scheduler/{JOB}", said)
    expect(job.locator("#tasks tbody tr").filter(has_text="RUNNING")).to_have_count(4)

    site.do(lambda s: hold(s, {"2"}))
    update_start(site, tmp_path, "2")
    expect(job.locator("#updating")).to_contain_text("ROLLING FORWARD")
    second = opened(context, f"/scheduler/{JOB}/update/active", said)
    title, squares = second.get_by_role("heading", level=1), second.locator("#instances .square")
    expect(title).to_have_text("Update in progress")
    expect(squares.and_(second.locator(".c-updating"))).to_have_count(2)
    expect(squares.and_(second.locator(".c-untouched"))).to_have_count(2)
    expect(second.locator("#waits li")).to_have_count(2)
    expect(second.locator("#change .d-come")).to_contain_text("./run 2")

    site.do(lambda s: hold(s, {"1"}))
    expect(title).to_have_text("Update is rolling back")
    expect(second.locator("#health")).to_contain_text("failed during the update")
    expect(second.locator("#events")).to_contain_text("exit code 3")
    expect(job.locator("#updating")).to_contain_text("ROLLING BACK")

    site.do(lambda s: hold(s, set()))
    expect(title).to_have_text("Update rolled back")
    expect(second.locator("#waits")).to_have_count(0)
    expect(job.locator("#updating")).to_have_count(0)
    expect(job.locator("#updates")).to_contain_text("ROLLED BACK")
    expect(job.locator("#tasks tbody tr").filter(has_text="RUNNING")).to_have_count(4)
    expect(job.locator("#configuration .config")).to_have_count(1)
    assert all(each.evaluate("window.sameDocument") for each in (second, job)), "nothing was loaded anew"
    assert said == [], "the consoles are clean"
