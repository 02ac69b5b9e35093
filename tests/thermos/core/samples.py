"""Records for tests: one of each kind, the usual story of a run, and hypothesis strategies for both."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from thermos.core.records import (
    AnyRecord,
    Exited,
    Forked,
    Gone,
    Header,
    Lost,
    Owner,
    Released,
    Request,
    Restart,
    Running,
    SetupFailed,
    Snapshot,
    Starting,
    Stopped,
    TaskStatus,
)
from thermos.core.states import TaskState


def header(at: float = 1.0, *, task_id: str = "t-1", uid: int = 1000, format: int = 1) -> Header:
    return Header(
        at=at, mono=at, format=format, task_id=task_id, sandbox="/sandbox", log_dir="logs", hostname="h", user="u",
        uid=uid, ports={"http": 31000},
    )  # fmt: skip


def owner(at: float = 1.0, pid: int = 10) -> Owner:
    return Owner(at=at, mono=at, pid=pid, start=5, uid=0, boot="boot-1", pidns=4026531836)


def status(state: TaskState, at: float = 1.0, *, stop_deadline: float = 0.0, deadline: float = 0.0) -> TaskStatus:
    return TaskStatus(
        at=at, mono=at, state=state, reason=f"now {state}", stop_deadline=stop_deadline, deadline=deadline
    )


def request(
    want: TaskState = TaskState.KILLED, grace: float | None = None, *, finalize: bool = True, at: float = 1.0
) -> Request:
    return Request(at=at, mono=at, want=want, grace=grace, finalize=finalize, reason="because")


def starting(process: str = "p", run: int = 0, at: float = 10.0, *, nonce: str = "") -> Starting:
    return Starting(at=at, mono=at, process=process, run=run, nonce=nonce or f"{process}-{run}", offset=run * 100)


def forked(process: str = "p", run: int = 0, at: float = 11.0, *, seq: int = 0) -> Forked:
    return Forked(at=at, mono=at, process=process, run=run, seq=seq, pid=100, start=7, boot="boot-1", pidns=4026531836)


def running(process: str = "p", run: int = 0, at: float = 12.0, *, seq: int = 1) -> Running:
    return Running(at=at, mono=at, process=process, run=run, seq=seq, pid=101, start=8)


def setup_failed(process: str = "p", run: int = 0, at: float = 12.0, *, seq: int = 1) -> SetupFailed:
    return SetupFailed(at=at, mono=at, process=process, run=run, seq=seq, stage="cwd", errno=2, detail="no such")


def exited(
    process: str = "p",
    run: int = 0,
    at: float = 13.0,
    *,
    seq: int = 2,
    code: int | None = 0,
    signal: int | None = None,
    daemons: int = 0,
) -> Exited:
    return Exited(
        at=at, mono=at, process=process, run=run, seq=seq, code=code, signal=signal, utime=0.25, stime=0.5,
        maxrss=4096, daemons=daemons,
    )  # fmt: skip


def stopped(process: str = "p", run: int = 0, at: float = 13.0, *, seq: int = 2) -> Stopped:
    return Stopped(
        at=at, mono=at, process=process, run=run, seq=seq, why="stop", signal=15, signalled=2, left=1,
        killed=[(103, "sleep")], killed_count=1, daemons=[(104, "d")], refused=[(1, "init")],
    )  # fmt: skip


def gone(process: str = "p", run: int = 0, at: float = 14.0, *, seq: int = 3) -> Gone:
    return Gone(at=at, mono=at, process=process, run=run, seq=seq)


def lost(process: str = "p", run: int = 0, at: float = 15.0) -> Lost:
    return Lost(at=at, mono=at, process=process, run=run, reason="its coordinator died", killed=[(101, "sh")])


def whole_run(
    process: str = "p",
    run: int = 0,
    at: float = 10.0,
    *,
    code: int | None = 0,
    signal: int | None = None,
    daemons: int = 0,
) -> list[AnyRecord]:
    """The usual story: starting, forked, running, exited; one second each."""
    return [
        starting(process, run, at),
        forked(process, run, at + 1),
        running(process, run, at + 2),
        exited(process, run, at + 3, code=code, signal=signal, daemons=daemons),
    ]


def one_of_each() -> list[AnyRecord]:
    return [
        header(),
        owner(),
        Released(at=1.5, mono=1.5, pid=10),
        status(TaskState.CLEANING, stop_deadline=20.0, deadline=30.0),
        request(TaskState.KILLED, 5.0, finalize=False),
        Restart(at=1.5, mono=1.5, process="p", run=0),
        starting(),
        forked(),
        running(),
        setup_failed(),
        stopped(),
        exited(code=None, signal=9),
        gone(),
        lost(),
        Snapshot(at=9.0, mono=9.0, complete_since=3.0, state={"state": "ACTIVE", "processes": {}}),
    ]


# --- strategies: records that are legal each by itself, in any order -------------------------------------------------

NAMES = ("a", "b", 'ü "q"')
times = st.floats(1, 1e9, allow_nan=False, allow_infinity=False)
pids = st.lists(st.tuples(st.integers(1, 4_000_000), st.text(max_size=5)), max_size=3)


def any_record(names: Sequence[str] = NAMES, max_run: int = 2, max_seq: int = 4) -> st.SearchStrategy[AnyRecord]:
    """Any record but a snapshot."""
    clock = {"at": times, "mono": times}
    of_run = {**clock, "process": st.sampled_from(names), "run": st.integers(0, max_run)}
    of_coordinator = {**of_run, "seq": st.integers(-1, max_seq)}
    number = st.integers(0, 2**40)
    return st.one_of(
        st.builds(Restart, **of_run),
        st.builds(
            Header, **clock, format=st.just(1), task_id=st.sampled_from(["t", "other"]), sandbox=st.just("/s"),
            log_dir=st.just("l"), hostname=st.text(max_size=3), user=st.just("u"), uid=st.just(1),
            ports=st.dictionaries(st.text(max_size=4), st.integers(1, 65535), max_size=2),
        ),
        st.builds(Owner, **clock, pid=number, start=number, uid=number, boot=st.text(max_size=4), pidns=number),
        st.builds(Released, **clock, pid=number),
        st.builds(
            TaskStatus, **clock, state=st.sampled_from(TaskState), reason=st.text(max_size=5),
            stop_deadline=times, deadline=st.one_of(st.just(0.0), times),
        ),
        st.builds(
            Request, **clock, want=st.sampled_from([TaskState.KILLED, TaskState.LOST]),
            grace=st.one_of(st.none(), st.floats(0, 100)), finalize=st.booleans(), reason=st.text(max_size=5),
        ),
        st.builds(Starting, **of_run, nonce=st.sampled_from(["n", "m"]), offset=number),
        st.builds(Forked, **of_coordinator, pid=number, start=number, boot=st.text(max_size=4), pidns=number),
        st.builds(Running, **of_coordinator, pid=number, start=number),
        st.builds(SetupFailed, **of_coordinator, stage=st.just("exec"), errno=number, detail=st.text(max_size=5)),
        st.builds(
            Stopped, **of_coordinator, why=st.sampled_from(["stop", "kill", "owner"]), signal=st.integers(0, 64),
            signalled=number, left=number, killed=pids, killed_count=number, daemons=pids, refused=pids,
        ),
        st.builds(
            Exited, **of_coordinator, code=st.one_of(st.none(), st.integers(0, 3)), signal=st.none(),
            utime=times, stime=times, maxrss=number, daemons=st.integers(0, 2),
        ),
        st.builds(Gone, **of_coordinator),
        st.builds(Lost, **of_run, reason=st.text(max_size=5), killed=pids, refused=pids),
    )  # fmt: skip
