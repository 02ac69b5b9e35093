"""From the views of a task to its pictures: graph, timeline, charts, the bar of its processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from observer.core.views import Counts, GraphView, IndexRow, ProcessRow, ResourceLimits, TaskView, UsagePoint
from observer.ui import links
from web.core.charts import line_chart, parts_bar
from web.core.pictures import MAX_ROWS, Bar, Lane, Node, Phase, gantt_picture, graph_picture
from web.core.words import cores_words, duration_words, size_words

#: Axes of memory and disk reach at least so far.
MIB = 2.0**20


def graph(view: TaskView) -> Markup | None:
    """The graph of the task's processes; None when it is too big for a picture, or there is nothing to see."""
    shape: GraphView = view.graph
    nodes = {row.name: _node(view.head.ref, row) for row in view.processes}
    if not nodes:
        return None
    pairs = [(edge.before, edge.after) for edge in shape.edges]
    critical = frozenset((edge.before, edge.after) for edge in shape.edges if edge.critical)
    words = f"Processes of {view.head.name or view.head.task_id} and what they wait for"
    return graph_picture(words, nodes, shape.levels, shape.final_levels, pairs, critical)


def _node(ref: str, row: ProcessRow) -> Node:
    mark = "daemon" if row.daemon else "ephemeral" if row.ephemeral else ""
    return Node(row.name, row.doing, row.note or row.doing, links.process(ref, row.name), mark, row.critical)


def gantt(view: TaskView) -> Markup | None:
    """When each run began and ended, a lane a process."""
    line = view.timeline
    if not line.bars:
        return None
    bars: dict[str, list[Bar]] = {}
    for bar in line.bars:
        took = duration_words(bar.end - bar.begin)
        words = f"{bar.process}, run {bar.run}: {bar.state}{' for' if bar.running else ' after'} {took}"
        href = links.log(view.head.ref, bar.process, bar.run, "stdout")
        bars.setdefault(bar.process, []).append(
            Bar(bar.begin, bar.end, bar.state, words, href, bar.critical, bar.running)
        )
    lanes = [
        Lane(row.name, links.process(view.head.ref, row.name), bars.get(row.name, []), row.critical)
        for row in view.processes
    ]
    phases = [Phase(p.at, p.until or line.end, p.state) for p in line.phases]
    words = f"Timeline of {view.head.name or view.head.task_id}: when its processes ran"
    return gantt_picture(words, line.begin, line.end, lanes, phases)


def lanes_left_out(view: TaskView) -> int:
    return max(0, len(view.processes) - MAX_ROWS)


def charts(points: Sequence[UsagePoint], limits: ResourceLimits | None = None) -> list[tuple[str, str, Markup]]:
    """(heading, words, picture) of cpu, ram and, when it is known, disk."""
    out = []
    cpu = [(p.at, p.cpu) for p in points]
    ram = [(p.at, float(p.ram)) for p in points]
    disk = [(p.at, float(p.disk)) for p in points if p.disk is not None]
    if cpu:
        limit = limits.cpu if limits else None
        words = _now_words([f"{cores_words(v)}" for _, v in cpu[-1:]], f"{cores_words(limit)} cores" if limit else "")
        out.append(("CPU", words, line_chart("CPU in cores", cpu, cores_words, limit=limit, class_="cpu", least=0.06)))
        size = float(limits.ram) if limits else None
        words = _now_words([size_words(ram[-1][1])], size_words(size) if size else "")
        out.append(
            ("Memory", words, line_chart("Memory", ram, size_words, limit=size, class_="ram", least=MIB, binary=True))
        )
    if disk:
        size = float(limits.disk) if limits else None
        words = _now_words([size_words(disk[-1][1])], size_words(size) if size else "")
        out.append(
            ("Disk", words, line_chart("Disk", disk, size_words, limit=size, class_="disk", least=MIB, binary=True))
        )
    return out


def _now_words(now: list[str], limit: str) -> str:
    return f"{now[0]} of {limit}" if limit else now[0]


@lru_cache(maxsize=200)
def counts_bar(counts: Counts) -> Markup:
    """The processes of a task by what they do."""
    parts = [
        ("d-done", counts.done), ("d-running", counts.running), ("d-failed", counts.failed),
        ("d-stopped", counts.other), ("d-blocked", counts.waiting),
    ]  # fmt: skip
    return parts_bar(counts_words(counts), parts)


def counts_words(counts: Counts) -> str:
    """`3 running, 2 done of 7`."""
    shown = [
        f"{count} {word}"
        for count, word in (
            (counts.running, "running"), (counts.failed, "failed"), (counts.waiting, "waiting"),
            (counts.done, "done"), (counts.other, "stopped or not run"),
        )
        if count
    ]  # fmt: skip
    return ", ".join(shown) or "no processes"


def row_state(row: IndexRow) -> str:
    """The state of a task in a list; finished ones that nobody opened yet have none."""
    return row.state or ("ACTIVE" if row.active else "")
