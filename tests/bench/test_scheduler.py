"""What measures the scheduler runs, in sizes that say nothing about its cost."""

from __future__ import annotations

import json
import sys
from types import FrameType

import pytest

from bench.cases import scheduler as cases
from bench.scheduler import durable, engine, placement, simulated
from bench.scheduler.__main__ import MEASURES, main
from bench.scheduler.cluster import Cluster
from bench.scheduler.making import JOB_SIZE, a_config, kinds
from mesos.core.messages import TaskState
from scheduler.core.states import ScheduleStatus


@pytest.mark.parametrize("what", MEASURES)
def test_it_yields_every_figure_that_its_case_names(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([what, "40"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {figure.key for figure in cases._FIGURES[what]} <= set(told)
    assert 40 in (told.get("hosts"), told.get("tasks"))


def test_every_measure_is_a_case_and_no_other() -> None:
    assert set(cases._FIGURES) == set(cases._TITLES) == set(cases._SIZES) == set(MEASURES)


def test_whatever_is_wished_runs() -> None:
    assert engine.engine(30)["left"] == placement.place(30)["left"] == 0
    assert engine.memory(200)["running"] == 200
    assert simulated.simulate(12)["tasks"] == 20


def test_a_placement_looks_at_as_much_each_time() -> None:
    assert placement.place(100)["looks_per_placement"] == placement.place(100)["looks_per_placement"]


def test_a_cluster_counts_every_kind_of_work() -> None:
    cluster = Cluster(20)
    cluster.offer_all()
    for number in range(2):
        cluster.insert(a_config(f"job{number}", *kinds(number)), JOB_SIZE)
    cluster.fill((TaskState.STARTING, TaskState.RUNNING))
    assert cluster.tables.tasks.count(ScheduleStatus.RUNNING) == len(cluster.launched) == 20
    for kind in ("insert", "step", "offer", TaskState.STARTING, TaskState.RUNNING):
        assert cluster.spent.done[kind] == 20 and cluster.spent.seconds[kind] > 0, kind
    assert 1000 < cluster.journal_bytes / 20 < 4000


def calls_per_task(hosts: int) -> float:
    """Of functions, from the wish until it runs: all that the engine, the tables, the journal and the news do."""
    cluster, calls, before = Cluster(hosts), 0, sys.getprofile()
    cluster.offer_all()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        for number in range(20):
            cluster.insert(a_config(f"job{number}", *kinds(number)), JOB_SIZE)
        cluster.fill(engine.UP)
    finally:
        sys.setprofile(before)
    assert cluster.tables.tasks.count(ScheduleStatus.RUNNING) == 200
    return calls / 200


def test_a_task_costs_the_same_in_a_large_cluster() -> None:
    small, large = calls_per_task(100), calls_per_task(3000)
    assert 0.5 < large / small < 1.2, (small, large)


def test_lost_tasks_among_many_are_replaced() -> None:
    tables = engine.filled(300, 50, 20)
    assert (tables.tasks.count(ScheduleStatus.RUNNING), tables.tasks.count(ScheduleStatus.ASSIGNED)) == (250, 50)
    assert engine.events(300)["us_lost"] > 0


def test_all_that_was_committed_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("store") / "records"
    assert durable.write_records(directory, 250) == 750
    assert durable.read_and_start(directory)["tasks"] == 250


@pytest.mark.parametrize("argv", [[], ["place"], ["place", "many"], ["nonsense", "1"]])
def test_anything_else_is_told_how(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    assert "python -m bench.scheduler CASE SIZE" in capsys.readouterr().err
