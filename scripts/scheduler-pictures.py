"""Takes docs/img/scheduler-*.png: pages of a running scheduler in Chromium, light, dark and on a phone.

aurora local up …; aurora update start …
.venv/bin/python scripts/scheduler-pictures.py http://127.0.0.1:8081 ROLE/ENV/JOB UPDATE ROLE/ENV/JOB/PENDING_INSTANCE
"""

from __future__ import annotations

import sys
from pathlib import Path

from pictures import DESK, IMAGES, PHONE, taking

LONG = (1280, 1240)


def main(base: str, job: str, update: str, pending: str, to: Path = IMAGES) -> None:
    """All of them."""
    with taking("scheduler", to) as take:
        take(f"{base}/scheduler/{job}", "job", "light", DESK)
        take(f"{base}/scheduler/{job}/update/{update}", "update", "light", LONG)
        take(f"{base}/scheduler/{pending}", "why", "light", DESK)
        take(f"{base}/cluster", "cluster", "dark", DESK)
        take(f"{base}/scheduler/{job}", "phone", "light", PHONE)


if __name__ == "__main__":
    main(*sys.argv[1:5], *map(Path, sys.argv[5:6]))
