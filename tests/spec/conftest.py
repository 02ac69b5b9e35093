"""The hosts of the scenarios and the rooms of the command line, for tests that close gaps of the specification."""

from __future__ import annotations

from tests.client.conftest import room
from tests.e2e.conftest import host, open_host

__all__ = ["host", "open_host", "room"]
