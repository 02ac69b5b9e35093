"""The page about the API names everything that there is."""

from __future__ import annotations

import re
from pathlib import Path

from scheduler.api.problems import STATUS
from scheduler.api.table import ROUTES

PAGE = (Path(__file__).parents[3] / "docs" / "scheduler-api.md").read_text()


def test_every_address_is_told() -> None:
    told = set(re.findall(r"`(GET|POST) (/[^`\s]*)`", PAGE))
    assert told == {(route.method, route.path) for route in ROUTES}


def test_every_code_is_told() -> None:
    told = re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE)
    assert told == [(code.value, str(status)) for code, status in STATUS.items()]


def test_every_permission_is_told() -> None:
    told = set(re.findall(r"`(thrift\.\w+):(\w+)(?::ROLE:ENV:NAME)?` \|", PAGE))
    assert told == {(route.permit.service, route.permit.call) for route in ROUTES if route.permit is not None}
