"""Health, disk and announcement as one thing: what each of them says of the task, and in which order they stop."""

from __future__ import annotations

from typing import Any

import pytest

from executor.announcer import AnnouncerEvent
from executor.checks import TaskChecks
from executor.core.health_policy import Verdict
from executor.machinery import Said
from tests.executor.fakes import FakeLoop
from thermos.clock import Now


class Part:
    """Writes down what it is told."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name, self._told = name, told

    def start(self, now: Now) -> None:
        self._told.append(f"start {self._name}")

    def stop(self, now: Now) -> None:
        self._told.append(f"stop {self._name}")

    def pause(self, now: Now) -> None:
        self._told.append(f"pause {self._name}")

    def resume(self, now: Now) -> None:
        self._told.append(f"resume {self._name}")

    def state(self) -> dict[str, Any]:
        return {"name": self._name}


class Desk:
    def __init__(self, *, announced: bool = True, gated: bool = False) -> None:
        self.loop = FakeLoop()
        self.told: list[str] = []
        self.said: list[tuple[Said, str]] = []
        self.checks = TaskChecks(self.loop, lambda said, text, now: self.said.append((said, text)), gated=gated)
        self.checks.health, self.checks.disk = Part("health", self.told), Part("disk", self.told)
        if announced:
            self.checks.announcer = Part("announcer", self.told)

    @property
    def now(self) -> Now:
        return self.loop.now()


def test_not_gated_it_is_announced_at_once() -> None:
    desk = Desk()
    desk.checks.start(desk.now)
    assert desk.told == ["start announcer", "start disk", "start health"]
    desk.checks.on_health(Verdict.RUNNING, "Task is healthy.", desk.now)
    assert desk.said == [(Said.HEALTHY, "Task is healthy.")] and len(desk.told) == 3


def test_gated_it_is_announced_with_the_first_success_defect_13() -> None:
    desk = Desk(gated=True)
    desk.checks.start(desk.now)
    assert desk.told[:2] == ["pause announcer", "start announcer"] and "resume announcer" not in desk.told
    desk.checks.on_health(Verdict.STARTING, "", desk.now)
    assert "resume announcer" not in desk.told and not desk.said
    desk.checks.on_health(Verdict.RUNNING, "Task is healthy.", desk.now)
    assert desk.told[-1] == "resume announcer"


@pytest.mark.parametrize("gated", [False, True])
def test_each_of_them_may_end_the_task(gated: bool) -> None:
    for report in ("health", "disk", "announcer"):
        desk = Desk(gated=gated)
        desk.checks.start(desk.now)
        if report == "health":
            desk.checks.on_health(Verdict.UNHEALTHY, "Failed health check! no", desk.now)
        elif report == "disk":
            desk.checks.on_disk("Disk limit exceeded.  Reserved 1 bytes vs used 2 bytes.", desk.now)
        else:
            desk.checks.on_announcer(AnnouncerEvent.FAILED, "Creating Announcer Serverset timed out.", desk.now)
        ((said, text),) = desk.said
        assert said is Said.UNHEALTHY and text


def test_neither_joining_nor_losing_is_a_reason_to_end() -> None:
    desk = Desk()
    desk.checks.start(desk.now)
    for event in (AnnouncerEvent.JOINED, AnnouncerEvent.LOST, AnnouncerEvent.PAUSED):
        desk.checks.on_announcer(event, "", desk.now)
    assert not desk.said


def test_stopped_is_said_when_it_is_announced_no_more() -> None:
    desk = Desk()
    desk.checks.start(desk.now)
    desk.checks.stop(desk.now)
    desk.checks.stop(desk.now)
    desk.loop.settle()
    assert desk.told[3:] == ["stop health", "stop disk", "stop announcer"] and not desk.said
    desk.checks.on_health(Verdict.UNHEALTHY, "late", desk.now)
    desk.checks.on_disk("late", desk.now)
    assert not desk.said
    desk.checks.on_announcer(AnnouncerEvent.LEFT, "", desk.now)
    assert desk.said == [(Said.STOPPED, "")]


def test_an_announcer_that_fails_while_it_is_stopped_has_stopped() -> None:
    desk = Desk()
    desk.checks.stop(desk.now)
    desk.checks.on_announcer(AnnouncerEvent.FAILED, "no", desk.now)
    assert desk.said == [(Said.STOPPED, "no")]


def test_without_an_announcer_stopped_is_said_in_the_next_turn() -> None:
    desk = Desk(announced=False)
    desk.checks.start(desk.now)
    desk.checks.stop(desk.now)
    assert not desk.said
    desk.loop.settle()
    assert desk.said == [(Said.STOPPED, "")]


def test_the_state_has_all_of_them_defect_18() -> None:
    desk = Desk(announced=False)
    assert desk.checks.state() == {"health": {"name": "health"}, "disk": {"name": "disk"}, "announcer": None}
