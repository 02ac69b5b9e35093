"""A view of every kind, with everything on it. `name` stands in for all that a task may choose: make it hostile."""

from __future__ import annotations

import math
from dataclasses import replace

from observer.core.views import (
    AnnouncedView,
    Bar,
    Chunk,
    ConfigView,
    Counts,
    DirectoryView,
    DiskView,
    Entry,
    ErrorView,
    ExecutorView,
    FileView,
    GraphEdge,
    GraphView,
    HealthView,
    Hit,
    HomeView,
    IndexRow,
    IndexView,
    Kind,
    LogPart,
    LogView,
    Moment,
    Note,
    Port,
    ProcessRow,
    ProcessView,
    Receipt,
    ResourceLimits,
    RunRow,
    SearchView,
    Sort,
    StateEntry,
    TaskHead,
    TaskView,
    Timeline,
    UsageNow,
    UsagePoint,
)
from observer.pages import PageView
from thermos.core.doing import Doing

NOW = 1_790_000_000.0
MIB, GIB = 2**20, 2**30


def run(number: int, state: str, begin: float, end: float, ending: str = "", code: int | None = None) -> RunRow:
    seconds = (end or NOW) - begin
    return RunRow(
        number, state, ending, code, None, begin - 0.01, begin, end, seconds, 4000 + number, 1.2, 0.3, 54 * MIB
    )


def head(name: str = "hello") -> TaskHead:
    return TaskHead(
        key="www-hello~0", ref="www-hello", task_id="www-hello", name=name, root=f"/var/run/{name}", active=True,
        state="ACTIVE", state_since=NOW - 95, reason=name, hostname=name, user=name, launched_at=NOW - 95,
    )  # fmt: skip


def processes(name: str = "server") -> tuple[ProcessRow, ...]:
    b = NOW - 95
    return (
        ProcessRow("fetch", Doing.DONE, "SUCCESS", "", critical=True, runs=2, successes=1, failures=1,
                   last=run(1, "SUCCESS", b + 4, b + 12, code=0)),
        ProcessRow("cache", Doing.FAILED, "FAILED", f"exit code 3 {name}", level=1, ephemeral=True, runs=3, failures=3,
                   last=run(2, "FAILED", b + 30, b + 33, f"exit code 3 {name}", 3)),
        ProcessRow(name, Doing.RUNNING, "RUNNING", "", level=1, daemon=True, critical=True, runs=1,
                   last=run(0, "RUNNING", b + 12, 0.0), usage=UsageNow(cpu=0.31, ram=80 * MIB, procs=3, threads=12)),
        ProcessRow("ship", Doing.RETRY, "FAILED", "runs again in 4 s", level=2, runs=5, failures=4, max_failures=0,
                   last=run(4, "FAILED", b + 80, b + 84, "exit code 1", 1)),
        ProcessRow("report", Doing.BLOCKED, "WAITING", f"waits for {name}", final=True),
    )  # fmt: skip


def points() -> tuple[UsagePoint, ...]:
    return tuple(
        UsagePoint(NOW - 600 + i * 5, 0.4 + 0.35 * math.sin(i / 9), int((60 + i * 0.2) * MIB), (900 + i) * MIB)
        for i in range(120)
    )


def task_view(name: str = "server") -> TaskView:
    b = NOW - 95
    edges = (GraphEdge("fetch", name, True), GraphEdge("fetch", "cache"), GraphEdge(name, "ship"))
    bars = (
        Bar("fetch", 0, "FAILED", b, b + 3.5), Bar("fetch", 1, "SUCCESS", b + 4, b + 12, critical=True),
        Bar(name, 0, "RUNNING", b + 12, NOW, running=True, critical=True),
    )  # fmt: skip
    return TaskView(
        head=head(name), attendance="attended", owner_pid=4711, uid=33, sandbox=f"/var/{name}", log_dir="/var/l",
        ports=(Port(name, 31337, "http://h:31337/"), Port("bad", 1, f"javascript:{name}")),
        resources=ResourceLimits(1.0, 128 * MIB, 2 * GIB), deadline_at=NOW + 5,
        history=(StateEntry("ACTIVE", b, 0.0, name),), processes=processes(name), counts=Counts(5, 1, 2, 1, 1, 0),
        graph=GraphView((("fetch",), ("cache", name), ("ship",)), (("report",),), edges),
        timeline=Timeline(b, NOW, bars, (StateEntry("ACTIVE", b),), ("fetch", name), 3),
        usage=UsageNow(cpu=0.3, ram=70 * MIB), chart=points(),
        receipts=(Receipt(name, 0, b + 5, f"stopped {name}", (f"{name} (1)",), (name,), (name,)),),
        executor=executor(name), config=f'{{"name": "{name}"}}',
        moment=Moment(23, 23, NOW, name, 22, None, True, b, NOW, ((1, b, name), (23, NOW, "end"))),
        notes=(Note(f"damaged: {name}"), Note(name, True)), at=NOW,
    )  # fmt: skip


def executor(name: str = "hello") -> ExecutorView:
    health = HealthView(
        "failing", "running", name, True, True, 12, 1, NOW - 4, 0.031, name, NOW - 60, NOW + 60, 9, 2, 1
    )
    announced = AnnouncedView(False, "retrying", NOW - 50, f"/aurora/{name}", "", True, name, 3.0, 1, 1)
    return ExecutorView(
        "running", NOW - 90, 4711, "TASK_FAILED", name, health, announced, DiskView(2 * GIB, MIB, NOW, name),
        "waiting", name, 2, name, NOW - 4,
    )  # fmt: skip


def index_view(kind: Kind, name: str = "hello", query: str = "") -> IndexView:
    row = IndexRow(
        "k", "www-hello", "www-hello", f"/r/{name}", kind is not Kind.FINISHED, name, name,
        "ACTIVE" if kind is not Kind.FINISHED else "FAILED", name, NOW - 5, NOW - 50, NOW - 5,
        (Port(name, 31000, "http://h:31000/"),), UsageNow(cpu=0.5, ram=10 * MIB, disk=GIB), Counts(7, 2, 1, 3, 1, 0),
        4, 1, 0, "unhealthy", (Note(name),),
    )  # fmt: skip
    rows = (row, replace(row, key="k2", ref="www-hello~1", state=""))
    return IndexView(kind, rows, 2002, 20, 20, query, Sort.CHANGED, False, 2, 2000, (Note(name),), NOW)


def log_view(text: str, name: str = "server", query: str = "") -> LogView:
    size = len(text.encode(errors="surrogateescape"))
    search = SearchView(query, (Hit(0, 0, text[:50]), Hit(1, 7, query)), 12345, 1, 0) if query else None
    parts = (LogPart(0, size, NOW, 55), LogPart(1, 10**6, NOW - 100, 54))
    return LogView(
        head(name), name, 0, (2, 1, 0), "stdout", parts, 0, Chunk(0, size, size, 55, text), True, (1, 100), None,
        search, (Note(name),),
    )  # fmt: skip


def every_page(name: str = "server", text: str = "a line\nanother\n") -> dict[str, PageView]:
    """A view for each template of a whole page."""
    b = NOW - 95
    runs = tuple(run(i, "FAILED", b + i, b + i + 1, f"exit code 1 {name}", 1) for i in range(4, -1, -1))
    stopped = replace(runs[0], receipt=Receipt(name, 4, b, name, (name,)), signal=9, code=None, damaged=True, daemons=2)
    entries = (
        Entry("sub", "directory", "drwxr-xr-x", 2, name, "root", 4096, NOW, "sub"),
        Entry(name, "file", "-rw-r--r--", 1, "www", name, 12345, NOW, "quoted%20name"),
        Entry("out", "link", "lrwxrwxrwx", 1, "root", "root", 5, NOW, "out", False, name),
    )
    return {
        "home": HomeView(name, index_view(Kind.ACTIVE, name), index_view(Kind.FINISHED, name, name), (Note(name),)),
        "index": index_view(Kind.ALL, name, name),
        "task": task_view(name),
        "process": ProcessView(
            head(name), processes(name)[2], f"exec {name}", (stopped, *runs[1:]), 7, waits_for=("fetch", name),
            needed_by=(name,), chart=points(), stderr_tail=(name, *text.split("\n")), notes=(Note(name),), at=NOW,
        ),
        "config": ConfigView(head(name), f'{{"name": "{name}"}}'),
        "log": log_view(text, name, name),
        "file": FileView(head(name), f"etc/{name}", "etc/quoted", Chunk(5, len(text), 500, 3, text), 0, 300, NOW),
        "browse": DirectoryView(head(name), f"etc/{name}", "etc/quoted", entries, 4, (Note(name),)),
        "error": ErrorView(404, name, name, "www-hello"),
    }  # fmt: skip
