"""Every case in a tiny size, for the bare loop and for ours; and that a room leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from bench import contenders
from bench.__main__ import main, measure_one
from bench.cases import CASES
from bench.cases.base import Case, Options
from bench.contenders.bare import Bare
from bench.contenders.base import Contender
from bench.contenders.ours import Ours, OursAsLibrary, render_config, render_spec
from bench.job import Command, Job, Log, Program, Skill
from bench.payload import Payload, build_payload, plain_payload
from bench.proc import is_alive
from bench.room import Failed, Room
from config.core.compile import compile_task
from config.loader import load_tasks
from tests.mesos.conformance.real import kit_folder
from tests.mesos.zookeeper import is_installed
from thermos.model import decode_task


@pytest.fixture(scope="session")
def native(tmp_path_factory: pytest.TempPathFactory) -> Payload:
    return build_payload(tmp_path_factory.mktemp("payload"))


@pytest.fixture(params=["native", "plain"])
def payload(request: pytest.FixtureRequest, native: Payload) -> Payload:
    return native if request.param == "native" else plain_payload()


def tiny(tmp_path: Path, payload: Payload, *, prefer_tree: bool = False) -> Options:
    return Options(tmp_path / "work", tmp_path / "logs", payload, quick=True, prefer_tree=prefer_tree)


PAIRS = [
    pytest.param(case, contender, id=f"{case.name}-{contender.name}")
    for case in CASES
    for contender in (Bare(), OursAsLibrary())
    if case.is_for(contender) and not case.name.startswith("executor-")
]


@pytest.mark.slow
@pytest.mark.parametrize(("case", "contender"), PAIRS)
def test_a_case_yields_every_figure_that_it_names(
    case: Case, contender: Contender, tmp_path: Path, native: Payload
) -> None:
    row = measure_one(case, contender, tiny(tmp_path, native), 0)
    assert "failed" not in row, row
    missing = {figure.key for figure in case.figures if row["figures"].get(figure.key) is None}
    assert missing == set()
    assert list((tmp_path / "work").glob("*")) == []


@pytest.mark.parametrize("prefer_tree", [False, True], ids=["best", "tree"])
def test_a_room_ends_what_left_its_session_and_counts_its_cpu(
    tmp_path: Path, payload: Payload, prefer_tree: bool
) -> None:
    burn = f"{sys.executable} -I -S -c 'for _ in range(3_000_000): pass'"
    script = f"{burn}; setsid {' '.join(payload.hold(tmp_path / 'room/marks', 'stray'))} & "
    with Room(tmp_path / "room", payload, prefer_tree=prefer_tree) as room:
        begun = room.begin(Command(("/bin/bash", "-c", script)))
        stray = room.wait_marks("S", 1, 20)[0].pid
        _, code = room.wait_end(begun.pid, 20)
        assert code == 0
        assert is_alive(stray)
        assert stray in room.accounting.pids()
        assert room.accounting.cpu_s() > 0.01
    assert not is_alive(stray)
    assert not (tmp_path / "room").exists()


def test_the_payload_tells_of_a_polite_stop(tmp_path: Path, payload: Payload) -> None:
    with Room(tmp_path / "room", payload) as room:
        begun = room.begin(Command(payload.hold(room.marks_path, "7")))
        started = room.wait_marks("S", 1, 20)[0]
        os.kill(begun.pid, signal.SIGTERM)
        ended, code = room.wait_end(begun.pid, 20)
        (told,) = room.marks("T")
    assert (started.ident, told.ident, code) == ("7", "7", 0)
    assert begun.at <= started.at <= told.at <= ended


def test_the_payload_pours_whole_lines(tmp_path: Path, payload: Payload) -> None:
    with Room(tmp_path / "room", payload, keep=True) as room:
        begun = room.begin(Command(payload.pour(room.marks_path, "0", 80 * 100, 80, 4096)))
        room.wait_end(begun.pid, 20)
        assert len(room.marks("E")) == 1
        assert room.out_path.read_text() == ("x" * 79 + "\n") * 100


def test_a_failure_is_a_row_that_says_why(tmp_path: Path, native: Payload) -> None:
    class Broken(Bare):
        def command(self, job: Job) -> Command:
            return Command(("/bin/bash", "-c", "echo no such luck; exit 3"))

    row = measure_one(CASES[0], Broken(), tiny(tmp_path, native), 0)
    assert row["failed"] == "exit code 3; no such luck"
    assert "figures" not in row


def test_waiting_for_something_that_lasts_fails(tmp_path: Path, native: Payload) -> None:
    with Room(tmp_path / "room", native) as room:
        begun = room.begin(Command(native.hold(room.marks_path, "0")))
        with pytest.raises(Failed, match=r"1 of 1 did not end in 0\.05 s"):
            room.wait_end(begun.pid, 0.05)


def test_the_command_measures_reports_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    work, out = tmp_path / "work", tmp_path / "rows"
    monkeypatch.setattr(contenders, "all_contenders", lambda: [Bare()])
    assert main(["chain-100", "--quick", "--repeat", "2", "--work", str(work), "--out", str(out)]) == 0
    told = capsys.readouterr()
    assert "| bare Python | 2 | " in told.out
    assert "- kernel: " in told.out
    assert told.err.count("chain-100") == 2
    assert len(out.read_text().splitlines()) == 2
    assert [path.name for path in work.glob("*") if path.name != "payload"] == []


def test_results_of_two_runs_make_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    for path, wall in zip(paths, (1.0, 3.0), strict=True):
        rows = [
            {"case": "help", "contender": name, "round": 0, "others": 0.0, "figures": {"wall_ms": wall * factor}}
            for name, factor in (("bare Python", 1), ("thermos", 2))
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["--report", *map(str, paths)]) == 0
    assert "| thermos | 2 | 4.0 [2.0–6.0] | 2.00 | 0.00 |" in capsys.readouterr().out


def test_an_unknown_case_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    assert capsys.readouterr().err.startswith("bench: no case 'nonsense'; there are chain-100, ")


JOBS = {
    "chain": Job((Program("a", ("true",)), Program("b", ("echo", "it's $HOME \\ 'here'"))), Path("/"), chain=True),
    "keep": Job((Program("a", ("sleep", "9"), keep=True),), Path("/"), limit=3),
    "rotate": Job((Program("a", ("true",), log=Log(Skill.LOG_ROTATE, 4 * 1024 * 1024, 7)),), Path("/")),
    "both": Job((Program("a", ("true",), log=Log(Skill.LOG_BOTH)),), Path("/")),
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)
def test_our_config_means_the_same_task_as_the_spec(job: Job, tmp_path: Path) -> None:
    path = tmp_path / "bench.thermos"
    path.write_text(render_config(job))
    compiled, _ = compile_task(load_tasks(path).pick(), ports={})
    assert compiled is not None
    wanted = decode_task(render_spec(job))
    assert (compiled.processes, compiled.order) == (wanted.processes, wanted.order)
    assert (compiled.max_failures, compiled.max_concurrency) == (wanted.max_failures, wanted.max_concurrency)


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("mesos-")], ids=lambda case: case.name)
def test_mesos_is_measured_for_ours_too(case: Case, tmp_path: Path, native: Payload) -> None:
    row = measure_one(case, Ours(), tiny(tmp_path, native), 0)
    assert "failed" not in row, row
    assert {figure.key for figure in case.figures if row["figures"].get(figure.key) is None} == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["executor-start", "executor-memory-1", "executor-announced-1", "executor-processes"])
def test_the_executor_is_measured(name: str, tmp_path: Path, native: Payload) -> None:
    (case,) = [case for case in CASES if case.name == name]
    if name == "executor-announced-1" and not is_installed():
        pytest.fail("no ZooKeeper here: scripts/setup-zookeeper installs it")
    row = measure_one(case, Ours(), tiny(tmp_path, native), 0)
    assert "failed" not in row, row
    assert {figure.key for figure in case.figures if row["figures"].get(figure.key) is None} == set()


@pytest.mark.slow
def test_the_kits_executor_is_its_yardstick(tmp_path: Path, native: Payload) -> None:
    if kit_folder() is None:
        pytest.skip("no kit here: set MESOS_KIT to its folder")
    (case,) = [case for case in CASES if case.name == "executor-start"]
    row = measure_one(case, Bare(), tiny(tmp_path, native), 0)
    assert "failed" not in row, row
