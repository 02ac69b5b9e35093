"""Takes docs/img/scheduler-*.png: pages of a running scheduler in Chromium, light, dark and on a phone.

aurora local up …; aurora update start …
.venv/bin/python scripts/scheduler-pictures.py http://127.0.0.1:8081 ROLE/ENV/JOB UPDATE ROLE/ENV/JOB/PENDING_INSTANCE
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

TOP = Path(__file__).parent.parent
IMAGES = TOP / "docs" / "img"
PHONE, DESK, LONG = (390, 844), (1280, 800), (1280, 1240)


def take(browser: Browser, url: str, name: str, scheme: str, size: tuple[int, int], to: Path) -> None:
    """One picture; what the console said besides is printed."""
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": size[0], "height": size[1]}
    )
    page = context.new_page()
    page.on("console", lambda message: sys.stderr.write(f"{name}: {message.type}: {message.text}\n"))
    page.goto(url, wait_until="load")
    page.locator("main").wait_for()
    page.screenshot(path=to / f"scheduler-{name}.png")
    context.close()


def main(base: str, job: str, update: str, pending: str, to: Path = IMAGES) -> None:
    """All of them."""
    found = subprocess.run([TOP / "scripts" / "setup-browser"], capture_output=True, text=True, check=True)
    to.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        take(browser, f"{base}/scheduler/{job}", "job", "light", DESK, to)
        take(browser, f"{base}/scheduler/{job}/update/{update}", "update", "light", LONG, to)
        take(browser, f"{base}/scheduler/{pending}", "why", "light", DESK, to)
        take(browser, f"{base}/cluster", "cluster", "dark", DESK, to)
        take(browser, f"{base}/scheduler/{job}", "phone", "light", PHONE, to)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(Path, sys.argv[5:6]))
