"""Options of the whole suite."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--mesos",
        action="append",
        choices=["embedded", "real"],
        help="which Mesos the conformance suite runs against (may be given twice; default: embedded)",
    )
