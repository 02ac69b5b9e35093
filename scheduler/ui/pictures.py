"""The charts and bars of the pages, and the classes that colours hang on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup

from scheduler.core.model import JobKey
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_model import JobUpdateStatus
from scheduler.core.update_states import is_backward
from scheduler.core.update_view import Stage
from scheduler.service.job_queries import JobStats
from scheduler.ui import links
from scheduler.ui.core.samples import KINDS, Sample
from scheduler.ui.core.update_grid import WORDS, Band, Cell
from scheduler.ui.core.views import Measure
from web.core.charts import level_bar, parts_bar
from web.core.squares import Square, squares
from web.core.stacks import Point, stack_chart
from web.core.words import cores_words, count_words, duration_words, size_words

_U = JobUpdateStatus

_UPDATE_CLASSES = {
    _U.ROLLING_FORWARD: "u-rolling",
    _U.ROLLED_FORWARD: "u-done",
    _U.ROLL_FORWARD_PAUSED: "u-paused",
    _U.ROLL_FORWARD_AWAITING_PULSE: "u-paused",
}


def status_class(status: str) -> str:
    return f"j-{str(status).lower()}"


def update_class(status: JobUpdateStatus) -> str:
    return _UPDATE_CLASSES.get(status, "u-back")


def words_of(status: str) -> str:
    """ROLLING_FORWARD -> ROLLING FORWARD."""
    return str(status).replace("_", " ")


def stats_bar(stats: JobStats) -> Markup:
    """The tasks of a job: those that wait, work, ended well and badly."""
    return _stats(stats.pending_task_count, stats.active_task_count, stats.finished_task_count, stats.failed_task_count)


@lru_cache(maxsize=5_000)
def _stats(pending: int, active: int, finished: int, failed: int) -> Markup:
    """Many jobs have the same ones."""
    parts = (("j-pending", pending), ("j-running", active), ("j-finished", finished), ("j-failed", failed))
    return parts_bar(f"{pending} pending, {active} active, {finished} finished, {failed} failed", parts)


def statuses_bar(statuses: Sequence[tuple[ScheduleStatus, int]]) -> Markup:
    words = ", ".join(f"{count} {status}" for status, count in statuses) or "none"
    return parts_bar(words, [(status_class(status), count) for status, count in statuses], width=200)


def progress_bar(done: int, total: int, status: JobUpdateStatus) -> Markup:
    """On the way back it has another colour: it is no success."""
    stage = Stage.ROLLED_BACK if is_backward(status) or status is _U.ROLLED_BACK else Stage.UPDATED
    parts = ((stage_class(stage), done), (stage_class(Stage.UNTOUCHED), total - done))
    return parts_bar(f"{done} of {total}", parts, width=160)


def measure_bar(name: str, measure: Measure) -> Markup | None:
    """None: nothing to compare with."""
    if not measure.total:
        return None
    return _level(name, round(100 * measure.share))


@lru_cache(maxsize=1_000)
def _level(name: str, percent: int) -> Markup:
    return level_bar(f"{name}: {percent} % used", percent / 100, width=96)


def measure_words(kind: str, measure: Measure) -> str:
    words = cores_words if kind == "cpus" else size_words
    used = words(measure.used) if measure.used else "0"
    return used + (f" of {words(measure.total)}" if measure.total else "")


def percent(done: int, total: int) -> str:
    """Whole; 100 only when all of it is done."""
    return f"{100 * done // total if total else 100} %"


# --- charts ----------------------------------------------------------------------------------------------------------

_KIND_CLASSES = {
    "running": "j-running",
    "starting": "j-starting",
    "pending": "j-pending",
    "throttled": "j-throttled",
    "ending": "j-killed",
    "partitioned": "j-partitioned",
}
assert set(_KIND_CLASSES) == set(KINDS), "every layer has a colour"

LAYERS = tuple((_KIND_CLASSES[kind], kind) for kind in KINDS)


def tasks_chart(samples: Sequence[Sample]) -> Markup:
    return stack_chart("Active tasks by state", LAYERS, [(sample.at, sample.counts) for sample in samples])


def latency_chart(samples: Sequence[Sample]) -> Markup:
    """The mean of each sample; where nothing was placed it is as it was before."""
    points: list[Point] = []
    last = 0.0
    for sample in samples:
        if sample.placed:
            last = sample.waited_s / sample.placed
        points.append((sample.at, (last,)))
    layers = (("j-starting", "from PENDING to a host"),)
    return stack_chart("Time to find a host", layers, points, words=duration_words, least=0.1)


def placed_words(samples: Sequence[Sample]) -> str:
    """The first sample has what was before it."""
    placed = sum(sample.placed for sample in samples[1:])
    return f"{count_words(placed, 'task')} placed in the time that is shown"


# --- updates ---------------------------------------------------------------------------------------------------------

#: From below to above: what is done first.
_FROM_BELOW = (
    Stage.UPDATED, Stage.ROLLED_BACK, Stage.ROLLING_BACK, Stage.UPDATING, Stage.UPDATE_FAILED, Stage.ROLLBACK_FAILED,
    Stage.UNTOUCHED,
)  # fmt: skip
assert set(_FROM_BELOW) == set(Stage), "every stage has a layer"


def stage_class(stage: Stage) -> str:
    return f"c-{stage.value.lower().replace('_', '-')}"


def cells(title: str, things: Sequence[Cell], job: JobKey, width: float = 720) -> Markup:
    base = links.job(job)
    found = [
        Square(f"{stage_class(cell.stage)} k-{cell.kind}", cell.words, f"{base}/{cell.instance}") for cell in things
    ]
    return squares(title, found, width)


def timeline(bands: Sequence[Band], *, is_over: bool) -> Markup:
    order = {stage: index for index, stage in enumerate(Stage)}
    layers = [(stage_class(stage), WORDS[stage]) for stage in _FROM_BELOW]
    points = [(band.at, [band.counts[order[stage]] for stage in _FROM_BELOW]) for band in bands]
    return stack_chart("Instances over time", layers, points, steps=True, end="end" if is_over else "now")


def timeline_layers(bands: Sequence[Band]) -> list[tuple[str, str]]:
    """(class, words) of what is to be seen in it."""
    order = list(Stage)
    seen = {stage for stage in order if any(band.counts[order.index(stage)] for band in bands)}
    return [(stage_class(stage), WORDS[stage]) for stage in _FROM_BELOW if stage in seen]


def cell_counts(things: Sequence[Cell]) -> list[tuple[str, str, int]]:
    """(class, words, how many), without those of which there are none."""
    counts = Counter(cell.stage for cell in things)
    return [(stage_class(stage), WORDS[stage], counts[stage]) for stage in Stage if counts[stage]]
