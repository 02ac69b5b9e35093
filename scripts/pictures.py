"""What the scripts that take pictures of pages share: a Chromium, and one way to take a picture."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

TOP = Path(__file__).parent.parent
IMAGES = TOP / "docs" / "img"
PHONE, DESK = (390, 844), (1280, 800)

#: Of an address: under this name, "light" or "dark", width and height.
Take = Callable[[str, str, str, tuple[int, int]], None]


@contextmanager
def taking(prefix: str, to: Path) -> Iterator[Take]:
    """Pictures are `PREFIX-NAME.png`; what the console says besides is printed."""
    found = subprocess.run([TOP / "scripts" / "setup-browser"], capture_output=True, text=True, check=True)
    to.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=["--no-sandbox"])

        def take(url: str, name: str, scheme: str, size: tuple[int, int]) -> None:
            context = browser.new_context(
                color_scheme="dark" if scheme == "dark" else "light", viewport={"width": size[0], "height": size[1]}
            )
            page = context.new_page()
            page.on("console", lambda message: sys.stderr.write(f"{name}: {message.type}: {message.text}\n"))
            page.goto(url, wait_until="load")
            page.locator("main").wait_for()
            page.screenshot(path=to / f"{prefix}-{name}.png")
            context.close()

        yield take
        browser.close()
