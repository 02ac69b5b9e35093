"""The driver of health checks on a virtual clock: when it checks, what it counts, what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.core.health_policy import TOO_LATE, Health, HealthLimits, after_check, before_check
from executor.health import HEALTHY, LEAST_INTERVAL_S, NO_CHECK, SLACK_S, THREAD_WAIT_S
from executor.probes import TIMED_OUT
from executor.workers import Workers
from tests.executor.health.stage import WALL, Script, Stage
from thermos.clock import now as look_at_clock
from thermos.host.loop import PlainLoop

HOUR = 3600.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def failed(reason: str) -> str:
    return f"Failed health check! {reason}"


# --- the worked cases of spec/thermos.md 4.5, through the driver (item 112)


@pytest.mark.parametrize(
    ("limits", "answers", "said"),
    [
        (HealthLimits(), "FFF", [(20, "unhealthy", failed("no 3"))]),
        (HealthLimits(), "FFS", [(20, "running", HEALTHY)]),
        (HealthLimits(), "SFF", [(0, "running", HEALTHY), (20, "unhealthy", failed("no 3"))]),
        (HealthLimits(), "SSF", [(0, "running", HEALTHY), (20, "unhealthy", failed("no 3"))]),
        (HealthLimits(max_failures=2, min_successes=4), "FFFFF", [(40, "unhealthy", failed("no 5"))]),
        (HealthLimits(max_failures=2, min_successes=2), "FFSFSFSF", [(70, "unhealthy", failed(TOO_LATE))]),
        (HealthLimits(initial_interval_s=0), "F", [(0, "unhealthy", failed("no 1"))]),
        (HealthLimits(initial_interval_s=0), "SF", [(0, "running", HEALTHY), (10, "unhealthy", failed("no 2"))]),
        (HealthLimits(max_failures=1), "SSSFSFSFF", [(0, "running", HEALTHY), (80, "unhealthy", failed("no 9"))]),
        (HealthLimits(min_successes=3), "SSS", [(20, "running", HEALTHY)]),
        (HealthLimits(initial_interval_s=5, interval_s=2), "FFFS", [(6, "running", HEALTHY)]),
    ],
)  # fmt: skip
def test_worked_cases(stage: Stage, limits: HealthLimits, answers: str, said: list[tuple[float, str, str]]) -> None:
    checker = stage.make(answers, limits)
    checker.start(stage.now)
    stage.advance(HOUR if said[-1][1] == "unhealthy" else limits.interval_s * (len(answers) - 1))
    assert stage.said == said


def test_the_deadline_is_looked_at_before_a_check(stage: Stage) -> None:
    """Of the worked case max_failures 2, min_successes 2 the eighth check is not made."""
    stage.make("FFSFSFSS", HealthLimits(max_failures=2, min_successes=2)).start(stage.now)
    stage.advance(HOUR)
    assert stage.script is not None
    assert stage.script.began == [0, 10, 20, 30, 40, 50, 60]


@given(
    st.builds(
        HealthLimits,
        initial_interval_s=st.sampled_from([0.0, 5.0, 15.0, 31.0]),
        interval_s=st.sampled_from([1.0, 10.0]),
        max_failures=st.integers(0, 4),
        min_successes=st.integers(0, 4),
    ),
    st.text("SFX", min_size=1, max_size=25),
)
def test_the_driver_says_what_the_policy_says(limits: HealthLimits, answers: str) -> None:
    stage = Stage(Path("/nonexistent"))
    stage.make(answers, limits).start(stage.now)
    stage.advance(limits.interval_s * (len(answers) - 1))
    health, verdicts = Health(), []
    for answer in answers:
        health = before_check(health, limits)
        if not health.unhealthy:
            health = after_check(health, limits, None if answer == "S" else "no")
        if not verdicts or verdicts[-1] != str(health.verdict):
            verdicts.append(str(health.verdict))
    assert [verdict for _, verdict, _ in stage.said] == [v for v in verdicts if v != "starting"]


# --- when


def test_the_next_interval_begins_when_the_check_has_ended(stage: Stage) -> None:
    stage.make("", took=3.0).start(stage.now)
    stage.advance(40)
    assert stage.script is not None
    assert stage.script.began == [0, 13, 26, 39]


def test_an_interval_of_nothing_does_not_spin(stage: Stage) -> None:
    stage.make("", HealthLimits(interval_s=0)).start(stage.now)
    stage.advance(10)
    assert stage.script is not None
    assert len(stage.script.began) == pytest.approx(10 / LEAST_INTERVAL_S, abs=2)


def test_without_a_check_it_is_running_at_once(stage: Stage) -> None:
    checker = stage.make(None)
    checker.start(stage.now)
    stage.advance(HOUR)
    assert stage.said == [(0, "running", NO_CHECK)]
    assert checker.state()["checked"] is False


def test_after_stop_nothing_is_checked_or_said(stage: Stage) -> None:
    checker = stage.make("FF", took=2.0)
    checker.start(stage.now)
    stage.advance(1)
    checker.stop(stage.now)
    checker.stop(stage.now)
    stage.advance(HOUR)
    assert stage.script is not None
    assert (stage.script.began, stage.script.cancelled, stage.said) == ([0], 1, [])


def test_stopped_at_the_start_it_says_nothing(stage: Stage) -> None:
    checker = stage.make(None)
    checker.start(stage.now)
    checker.stop(stage.now)
    stage.advance(1)
    assert stage.said == []


def test_unhealthy_is_the_end_of_checks(stage: Stage) -> None:
    stage.make("FFFSSS").start(stage.now)
    stage.advance(HOUR)
    assert stage.script is not None
    assert len(stage.script.began) == 3


# --- checks that hang


def test_a_check_that_hangs_counts_as_failed_and_no_other_is_begun(stage: Stage) -> None:
    limits = HealthLimits(initial_interval_s=0, max_failures=2)
    checker = stage.make("SH", limits, timeout_s=3.0)
    checker.start(stage.now)
    stage.advance(10 + 3 + SLACK_S)
    assert checker.state()["failures"] == 1
    assert checker.state()["hanging"]
    stage.advance(10)
    assert checker.state()["failures"] == 2
    assert checker.state()["last"]["result"] == f"{TIMED_OUT} It still hangs."
    stage.advance(10)
    assert stage.said[1:] == [(38, "unhealthy", failed(f"{TIMED_OUT} It still hangs."))]
    assert stage.script is not None
    assert (stage.script.began, stage.most, stage.busy) == ([0, 10], 1, 1)
    assert checker.state()["totals"]["timed_out"] == 3


def test_when_a_hanging_check_comes_back_checks_go_on(stage: Stage) -> None:
    checker = stage.make("SHS", HealthLimits(max_failures=5))
    checker.start(stage.now)
    stage.advance(10 + 1 + SLACK_S + 10)
    failures = checker.state()["failures"]
    stage.release()
    assert checker.state()["failures"] == failures  # what it found is forgotten
    stage.advance(10)
    assert checker.state()["failures"] == 0
    assert checker.state()["last"]["result"] == "healthy"
    assert not checker.state()["hanging"]
    assert [verdict for _, verdict, _ in stage.said] == ["running"]


def test_a_check_that_no_thread_takes_is_told(stage: Stage) -> None:
    """Time in the line is not the check's, up to a bound."""
    stage.threads = 0
    checker = stage.make("", HealthLimits(initial_interval_s=0))
    checker.start(stage.now)
    stage.advance(THREAD_WAIT_S - 1)
    assert stage.said == []
    stage.advance(1)
    assert stage.said == [(60, "unhealthy", failed("Internal health check error: no thread was free for 60 s."))]


def test_a_check_that_gets_its_thread_late_has_its_whole_time(stage: Stage) -> None:
    stage.threads = 0
    checker = stage.make("S", HealthLimits(initial_interval_s=0))
    checker.start(stage.now)
    stage.advance(30)
    stage.threads = 1
    stage.take_work()
    stage.advance(0)
    assert stage.said == [(30, "running", HEALTHY)]
    assert checker.state()["totals"]["latency_s"] == 0


def test_threads_do_not_pile_up_behind_a_probe_that_hangs_for_ever() -> None:
    """With real threads: one is in the probe, whatever becomes due meanwhile."""
    loop = PlainLoop(look_at_clock)
    workers = Workers(loop, size=2)
    reading, writing = os.pipe()
    called = []

    class Hanging:
        timeout_s = -SLACK_S + 0.05  # so that it is overdue at once

        def __call__(self) -> str | None:
            called.append(1)
            os.read(reading, 1)
            return None

        def cancel(self) -> None:
            os.write(writing, b"x")

    stage = Stage(Path("/nonexistent"))
    from_stage = stage.make("")
    assert isinstance(stage.script, Script)
    verdicts: list[str] = []

    def report(verdict: object, text: str, now: object) -> None:
        verdicts.append(text)
        loop.stop()

    limits = HealthLimits(initial_interval_s=0, interval_s=LEAST_INTERVAL_S, max_failures=3)
    checker = type(from_stage)(limits, Hanging(), loop, workers, report, snooze=Path("/nonexistent"))
    checker.start(look_at_clock())
    loop.run()
    assert verdicts == [failed(f"{TIMED_OUT} It still hangs.")]
    assert called == [1]
    checker.stop(look_at_clock())
    loop.close()


def test_a_probe_that_raises_counts_as_failed(stage: Stage) -> None:
    stage.make("X", HealthLimits(initial_interval_s=0)).start(stage.now)
    stage.advance(0)
    assert stage.said == [(0, "unhealthy", failed("Internal health check error: a bug"))]


# --- an executor that takes over


def test_a_later_executor_counts_on(stage: Stage, tmp_path: Path) -> None:
    limits = HealthLimits(max_failures=2)
    first = stage.make("SSFF", limits, took=0.5)
    first.start(stage.now)
    stage.advance(32)
    former = json.loads(json.dumps(first.state()))
    assert (former["attempts"], former["failures"], former["verdict"]) == (4, 2, "running")
    assert former["totals"] == {"checks": 4, "failed": 2, "snoozed": 0, "timed_out": 0, "latency_s": 2.0}
    later = Stage(tmp_path)
    second = later.make("F", limits, former=former)
    second.start(later.now)
    later.advance(0)
    assert later.said == [(0, "running", HEALTHY), (0, "unhealthy", failed("no 1"))]
    assert second.state()["totals"]["checks"] == 5


def test_a_later_executor_says_what_was_decided(stage: Stage) -> None:
    checker = stage.make("", former={"attempts": 9, "running": True, "unhealthy": True, "reason": "it was ill"})
    checker.start(stage.now)
    stage.advance(HOUR)
    assert stage.said == [(0, "unhealthy", failed("it was ill"))]
    assert stage.script is not None and stage.script.began == []


@pytest.mark.parametrize(
    "former",
    [
        {},
        {"attempts": -1, "failures": "x", "successes": True, "running": 1, "totals": [1]},
        {"totals": {"checks": -1, "nonsense": 5, "latency_s": "x"}},
    ],
)
def test_a_state_that_makes_no_sense_is_a_fresh_start(stage: Stage, former: dict[str, object]) -> None:
    fresh = stage.make("").state()
    assert stage.make("", former=former).state() == fresh


# --- snoozing (item 113)


def snooze(stage: Stage, text: str = "") -> Path:
    path = stage.sandbox / ".healthchecksnooze"
    path.write_text(text)
    return path


def since(stage: Stage, path: Path) -> float:
    """Moves the stage's clock to when the file was written."""
    stage.mono += path.stat().st_ctime - (WALL + stage.mono - 5000.0)
    return stage.mono - 5000.0


def test_while_it_is_snoozed_each_check_counts_as_a_success(stage: Stage) -> None:
    """Even a task that was never healthy becomes running."""
    path = snooze(stage)
    since(stage, path)
    checker = stage.make("FFFF", HealthLimits(min_successes=2))
    checker.start(stage.now)
    stage.advance(10)
    assert [verdict for _, verdict, _ in stage.said] == ["running"]
    assert stage.script is not None and stage.script.began == []
    state = checker.state()
    assert state["last"]["result"] == "snoozed"
    assert state["totals"]["snoozed"] == state["totals"]["checks"] == 2
    assert state["snoozed"]["until"] - state["snoozed"]["since"] == 3600
    assert stage.notes == ["health checks are snoozed by .healthchecksnooze for 3600 s"]
    path.unlink()
    stage.advance(10)
    assert checker.state()["snoozed"] is None
    assert len(stage.script.began) == 1
    assert stage.notes[1:] == [".healthchecksnooze has gone: health is checked again"]


def test_a_forgotten_snooze_file_is_ignored_after_its_time(stage: Stage) -> None:
    """The original never checked again (spec 7.4, 13)."""
    since(stage, snooze(stage))
    checker = stage.make("FFFFF", snooze_max_s=25)
    checker.start(stage.now)
    begin = stage.mono - 5000.0
    stage.advance(HOUR)
    assert stage.script is not None
    assert [at - begin for at in stage.script.began] == [pytest.approx(30)]
    assert [(at - begin, verdict) for at, verdict, _ in stage.said] == [
        (pytest.approx(0), "running"),
        (pytest.approx(30), "unhealthy"),
    ]
    assert stage.notes == [
        "health checks are snoozed by .healthchecksnooze for 25 s",
        ".healthchecksnooze is ignored: its 25 s are over; write it again to snooze",
    ]
    assert checker.state()["snooze_ignored"] and checker.state()["snoozed"] is None


def test_the_file_says_how_long(stage: Stage) -> None:
    since(stage, snooze(stage, "45\n"))
    stage.make("F", snooze_max_s=10, limits=HealthLimits(max_failures=9)).start(stage.now)
    stage.advance(100)
    assert stage.script is not None
    assert len(stage.script.began) == 6  # at 50, 60, … 100
    assert stage.notes[0] == "health checks are snoozed by .healthchecksnooze for 45 s"


def test_said_once_when_it_was_over_from_the_beginning(stage: Stage) -> None:
    path = snooze(stage, "5")
    since(stage, path)
    stage.mono += 60
    stage.make("").start(stage.now)
    stage.advance(100)
    assert stage.notes == [".healthchecksnooze is ignored: its 5 s are over; write it again to snooze"]
