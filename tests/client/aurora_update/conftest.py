"""The desk of the other verbs, with a scheduler that has one update to tell of."""

from __future__ import annotations

import pytest

from tests.client.aurora.conftest import bare_desk, desk, fake
from tests.client.aurora.fake_scheduler import FakeScheduler
from tests.client.aurora_update.fake_updates import FakeUpdates

__all__ = ["bare_desk", "desk", "fake", "updates"]


@pytest.fixture
def updates(fake: FakeScheduler) -> FakeUpdates:
    return FakeUpdates(fake)
