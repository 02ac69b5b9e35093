"""Takes docs/img/observer-*.png: pages of a running observer in Chromium, light, dark and on a phone.

thermos observer --root ROOT & .venv/bin/python scripts/observer-pictures.py http://127.0.0.1:1338 TASK PROCESS
"""

from __future__ import annotations

import sys
from pathlib import Path

from pictures import DESK, IMAGES, PHONE, taking

LONG = (1280, 1780)


def main(base: str, task: str, process: str, to: Path = IMAGES) -> None:
    """All of them."""
    with taking("observer", to) as take:
        take(f"{base}/", "tasks", "light", DESK)
        take(f"{base}/task/{task}", "task", "light", LONG)
        take(f"{base}/task/{task}?at=30", "past", "dark", DESK)
        take(f"{base}/task/{task}", "phone", "light", PHONE)
        take(f"{base}/logs/{task}/{process}/0/stdout", "log", "dark", DESK)


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(Path, sys.argv[4:5]))
