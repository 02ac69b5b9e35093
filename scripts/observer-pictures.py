"""Takes docs/img/observer-*.png: pages of a running observer in Chromium, light, dark and on a phone.

thermos observer --root ROOT & .venv/bin/python scripts/observer-pictures.py http://127.0.0.1:1338 TASK PROCESS
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

TOP = Path(__file__).parent.parent
IMAGES = TOP / "docs" / "img"
PHONE, DESK, LONG = (390, 844), (1280, 800), (1280, 1780)


def take(browser: Browser, url: str, name: str, scheme: str, size: tuple[int, int], to: Path) -> None:
    """One picture; what the console said besides is printed."""
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": size[0], "height": size[1]}
    )
    page = context.new_page()
    page.on("console", lambda message: sys.stderr.write(f"{name}: {message.type}: {message.text}\n"))
    page.goto(url, wait_until="load")
    page.locator("main").wait_for()
    page.screenshot(path=to / f"observer-{name}.png")
    context.close()


def main(base: str, task: str, process: str, to: Path = IMAGES) -> None:
    """All of them."""
    found = subprocess.run([TOP / "scripts" / "setup-browser"], capture_output=True, text=True, check=True)
    to.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])
        take(browser, f"{base}/", "tasks", "light", DESK, to)
        take(browser, f"{base}/task/{task}", "task", "light", LONG, to)
        take(browser, f"{base}/task/{task}?at=30", "past", "dark", DESK, to)
        take(browser, f"{base}/task/{task}", "phone", "light", PHONE, to)
        take(browser, f"{base}/logs/{task}/{process}/0/stdout", "log", "dark", DESK, to)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(Path, sys.argv[4:5]))
