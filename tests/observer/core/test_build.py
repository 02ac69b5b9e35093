"""Views from records alone: no file is read here."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from observer.core.build import count_doings, port_url, process_view, row_of, task_view
from observer.core.series import Series
from observer.core.source import Measured, Source, is_coherent, sane, task_key
from observer.core.travel import moment_of, position_at, record_words, view_at
from observer.core.views import TaskView, UsageNow
from observer.core.words import receipt_words
from tests.thermos.core.samples import (
    exited,
    forked,
    header,
    lost,
    one_of_each,
    owner,
    running,
    setup_failed,
    starting,
    status,
    stopped,
    whole_run,
)
from thermos.clock import Now
from thermos.core.doing import Doing
from thermos.core.fold import KEEP_RUNS, TaskRecord, replay
from thermos.core.records import AnyRecord
from thermos.core.states import TaskState
from thermos.core.words import ending_words, signal_name
from thermos.model import ProcessSpec, TaskSpec


def spec(*names: str, order: Sequence[Sequence[str]] = (), **more: object) -> TaskSpec:
    processes = tuple(ProcessSpec(name=name, cmdline=f"run {name}", **more) for name in names)  # type: ignore[arg-type]
    return TaskSpec(name="job", processes=processes, order=tuple(tuple(o) for o in order))


def source(
    records: Sequence[AnyRecord], task: TaskSpec | None, *, wall: float = 100.0, measured: Measured | None = None
) -> Source:
    return Source(
        key="t-1~00000000", ref="t-1", task_id="t-1", root="/r", active=True, changed_at=1.0,
        record=replay(records), spec=task, measured=measured or Measured(), now=Now(wall, wall),
    )  # fmt: skip


def begun(*more: AnyRecord) -> list[AnyRecord]:
    return [header(), owner(), status(TaskState.ACTIVE, 2.0), *more]


def doing(view: TaskView) -> dict[str, Doing]:
    return {row.name: row.doing for row in view.processes}


def test_a_page_says_what_each_process_does_and_why() -> None:
    records = begun(*whole_run("a", at=10.0), starting("b", 0, 20.0), forked("b", 0, 21.0), running("b", 0, 22.0))
    view = task_view(source(records, spec("a", "b", "c", order=[["a", "b", "c"]])))
    assert doing(view) == {"a": Doing.DONE, "b": Doing.RUNNING, "c": Doing.BLOCKED}
    assert view.processes[2].note == "waits for b"
    assert (view.counts.done, view.counts.running, view.counts.waiting, view.counts.total) == (1, 1, 1, 3)


def test_a_failed_process_and_its_retry() -> None:
    records = begun(*whole_run("a", at=10.0, code=3))
    retry = task_view(source(records, spec("a", max_failures=3), wall=14.0)).processes[0]
    assert retry.doing is Doing.RETRY
    assert retry.note == "exit code 3; retry in 4 s (failure 1 of 3)"
    final = task_view(source(records, spec("a"))).processes[0]
    assert (final.doing, final.note, final.last and final.last.code) == (Doing.FAILED, "exit code 3", 3)


def test_a_process_that_waits_for_a_slot() -> None:
    records = begun(starting("a", 0, 20.0), forked("a", 0, 21.0), running("a", 0, 22.0))
    task = TaskSpec(name="j", processes=spec("a", "b").processes, max_concurrency=1)
    assert task_view(source(records, task)).processes[1].note == "waits for one of 1 slot"


def test_a_set_up_that_failed_names_its_stage() -> None:
    records = begun(starting("a", 0), forked("a", 0), setup_failed("a", 0))
    row = task_view(source(records, spec("a"))).processes[0]
    assert row.note == "could not start (cwd: no such)"


def test_kill_receipts_tell_what_a_stop_did() -> None:
    records = begun(
        starting("a", 0), forked("a", 0), running("a", 0), stopped("a", 0), exited("a", 0, seq=3, code=None, signal=9),
        status(TaskState.CLEANING, 20.0, stop_deadline=30.0, deadline=40.0), status(TaskState.KILLED, 21.0),
    )  # fmt: skip
    view = task_view(source(records, spec("a")))
    assert view.receipts[0].words == (
        "stopped; SIGTERM to 2 processes; 1 left by themselves; 1 needed SIGKILL; 1 had daemonised; "
        "1 could not be signalled"
    )
    assert view.receipts[0].killed == ("sleep (103)",)
    assert view.processes[0].last is not None
    assert view.processes[0].last.ending == "killed by SIGKILL (signal 9)"
    assert view.processes[0].doing is Doing.STOPPED


def test_a_lost_run_that_was_swept_has_a_receipt_too() -> None:
    view = task_view(source(begun(starting("a", 0), forked("a", 0), lost("a", 0)), spec("a")))
    assert view.receipts[0].words == "given up: its coordinator died"


def test_the_critical_path_is_what_was_waited_for_last() -> None:
    #      short --> end        end waits for both; long ends later, so it is long that made the task take its time
    #      long  --> end
    records = begun(
        *whole_run("short", at=10.0), *whole_run("long", at=30.0), *whole_run("end", at=40.0),
        *whole_run("other", at=5.0),
    )  # fmt: skip
    task = spec("short", "long", "end", "other", order=[["short", "end"], ["long", "end"]])
    view = task_view(source(records, task))
    assert view.timeline.critical_path == ("long", "end")
    assert {bar.process for bar in view.timeline.bars if bar.critical} == {"long", "end"}
    assert {(e.before, e.after): e.critical for e in view.graph.edges} == {
        ("short", "end"): False,
        ("long", "end"): True,
    }
    assert view.graph.levels == (("short", "long", "other"), ("end",))


def test_the_timeline_is_bounded_and_says_what_it_leaves_out() -> None:
    records = begun()
    for run in range(60):
        records += whole_run("a", run, at=10.0 + run * 10)
    line = task_view(source(records, spec("a", max_failures=0), wall=1000.0)).timeline
    assert [bar.run for bar in line.bars] == list(range(40, 60))
    assert line.left_out == 40


def test_a_running_bar_ends_now() -> None:
    records = begun(starting("a", 0, 20.0), forked("a", 0, 21.0), running("a", 0, 22.0))
    line = task_view(source(records, spec("a"), wall=70.0)).timeline
    assert (line.bars[0].begin, line.bars[0].end, line.bars[0].running, line.end) == (22.0, 70.0, True, 70.0)


def test_an_empty_record_has_a_page() -> None:
    view = task_view(source([], None))
    assert view.head.state == "UNKNOWN"
    assert view.timeline.bars == ()
    assert row_of(source([], None)).state == "UNKNOWN"


def test_a_task_whose_config_is_unreadable_is_shown_by_its_records() -> None:
    view = task_view(source(begun(*whole_run("a")), None))
    assert [row.name for row in view.processes] == ["a"]
    assert "can't be read" in view.notes[0].text


def test_any_records_in_any_order_have_a_page() -> None:
    """One of each kind; whatever the fold makes of them, there is something to show."""
    records = [record for record in one_of_each() if record.__struct_config__.tag != "snapshot"]
    for count in range(len(records) + 1):
        made = source(records[:count], spec("p"))
        assert task_view(made).head.task_id == "t-1"
        assert row_of(made).counts.total == 1
        assert process_view(made, "p") is not None


def test_the_process_page() -> None:
    records = begun(*whole_run("a", 0, 10.0, code=1), *whole_run("a", 1, 20.0))
    view = process_view(source(records, spec("a", "b", order=[["a", "b"]], max_failures=3)), "a")
    assert view is not None
    assert [run.number for run in view.runs] == [1, 0]
    assert (view.runs[0].code, view.runs[1].code) == (0, 1)
    assert (view.needed_by, view.waits_for, view.cmdline) == (("b",), (), "run a")
    assert process_view(source(records, spec("a")), "nope") is None


def test_runs_whose_details_are_gone_are_counted() -> None:
    records = begun()
    for run in range(KEEP_RUNS + 50):
        records += whole_run("a", run, at=10.0 + run * 10)
    view = process_view(source(records, spec("a", max_failures=0, daemon=True)), "a")
    assert view is not None
    assert view.runs_left_out == 50


def test_time_travel_is_the_fold_up_to_a_record() -> None:
    records = begun(*whole_run("a", at=10.0))
    for position in range(1, len(records) + 1):
        assert view_at(records, position)[0] == replay(records[:position])
    assert view_at(records, 10_000)[0] == replay(records)
    assert view_at(records, -5)[0] == replay(records[:1])
    assert view_at([], 3)[0] == TaskRecord()
    assert view_at(records, 5)[1] == Now(11.0, 11.0)


def test_the_slider_knows_its_neighbours_and_is_thinned() -> None:
    records = begun()
    for run in range(400):
        records += whole_run("a", run, at=10.0 + run * 10)
    moment = moment_of(records, 5)
    assert (moment.earlier, moment.later, moment.total, moment.live) == (4, 6, len(records), False)
    assert len(moment.stops) <= 501
    assert (moment.stops[0][0], moment.stops[-1][0]) == (1, len(records))
    assert moment_of(records, None).live
    assert moment_of(records, None).later is None
    assert moment_of([], None).words == "no record"
    assert position_at(records, 10.5) == 4


def test_every_kind_of_record_has_words() -> None:
    assert all(record_words(record) for record in one_of_each())


def test_words() -> None:
    assert ending_words(127, None) == "exit code 127 (command not found)"
    assert ending_words(137, None) == "exit code 137 (a command in it was killed by SIGKILL)"
    assert ending_words(None, 15) == "killed by SIGTERM (signal 15)"
    assert ending_words(None, 99) == "killed by signal 99"
    assert (signal_name(31), signal_name(0)) == ("SIGSYS", "signal 0")
    assert receipt_words(stopped()).startswith("stopped; SIGTERM to 2 processes")


def test_links_are_made_of_host_names_and_ports_only() -> None:
    assert port_url("host-1.example", 80) == "http://host-1.example:80/"
    assert [port_url(h, p) for h, p in (("a/b", 1), ("javascript:x", 1), ("", 1), ("h", 0), ("h", 70000))] == [""] * 5


def test_times_that_are_none() -> None:
    assert (sane(-1.0), sane(1e300), sane(5.0), sane(float("nan"))) == (0.0, 0.0, 5.0, 0.0)


def test_counts_add_up() -> None:
    counts = count_doings(list(Doing))
    assert counts.running + counts.waiting + counts.done + counts.failed + counts.other == counts.total == len(Doing)


def test_forged_snapshots_are_recognised() -> None:
    good = replay(begun(*whole_run("a")))
    assert is_coherent(good)
    good.processes["a"].total = 7
    assert not is_coherent(good)
    other = replay(begun(*whole_run("a")))
    other.active["ghost"] = 0
    assert not is_coherent(other)


def test_keys_differ_by_root() -> None:
    assert task_key("t", "/a") != task_key("t", "/b")
    assert task_key("t", "/a").startswith("t~")


class TestSeries:
    def test_it_is_a_ring(self) -> None:
        series = Series(3)
        for at in range(5):
            series.add(float(at), at / 2, at * 10, at or None)
        assert list(series.points()) == [(2.0, 1.0, 20, 2), (3.0, 1.5, 30, 3), (4.0, 2.0, 40, 4)]

    def test_not_full_yet(self) -> None:
        series = Series(3)
        series.add(1.0, 0.5, 7)
        assert list(series.points()) == [(1.0, 0.5, 7, None)]
        assert (len(series), series.newest_at) == (1, 1.0)

    def test_no_sample_of_the_past(self) -> None:
        series = Series(2)
        series.add(5.0, 0.0, 0)
        with pytest.raises(ValueError, match="older than the newest"):
            series.add(4.0, 0.0, 0)

    def test_it_holds_something(self) -> None:
        with pytest.raises(ValueError, match="holds nothing"):
            Series(0)


def test_a_chart_is_in_wall_time() -> None:
    measured = Measured(usage=UsageNow(cpu=1.0), series=Series(4))
    assert measured.series is not None
    measured.series.add(40.0, 0.5, 7)
    made = Source(
        key="k", ref="k", task_id="k", root="/", active=True, changed_at=0.0, record=replay(begun()), spec=spec("a"),
        measured=measured, now=Now(1000.0, 50.0),
    )  # fmt: skip
    assert [(point.at, point.cpu) for point in task_view(made).chart] == [(990.0, 0.5)]
