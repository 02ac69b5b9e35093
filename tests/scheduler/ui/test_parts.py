"""What pages are made of: addresses, lists, configurations in words, the grid of an update, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import structs

from scheduler.core.model import (
    Container,
    CoordinatorSlaPolicy,
    CountSlaPolicy,
    DockerContainer,
    DockerImage,
    ExecutorConfig,
    Image,
    MesosContainer,
    PartitionPolicy,
    PercentageSlaPolicy,
    SlaPolicy,
    TaskConfig,
)
from scheduler.core.states import ACTIVE, ScheduleStatus
from scheduler.core.update_diff import InstanceDiff, diff_instances, instructions_of
from scheduler.core.update_model import (
    BatchStrategy,
    JobInstanceUpdateEvent,
    JobUpdate,
    JobUpdateAction,
    JobUpdateKey,
    JobUpdateSettings,
    JobUpdateStatus,
    JobUpdateSummary,
    QueueStrategy,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_progress import progress_of
from scheduler.core.update_view import Stage
from scheduler.ui import links
from scheduler.ui.core import config_text
from scheduler.ui.core.here import Here
from scheduler.ui.core.listing import Order, Wanted, arrange, cut
from scheduler.ui.core.samples import KINDS, Samples
from scheduler.ui.core.update_grid import Cell, bands_of, cells_by_instance, cells_of
from scheduler.ui.core.update_words import settings_words
from scheduler.ui.pictures import progress_bar, timeline_layers
from tests.scheduler.core import making
from tests.scheduler.ui.world import WEB, config

_A = JobUpdateAction
HERE = Here("/scheduler/www", {"q": "a b", "sort": "name", "offset": "25"})


def test_an_address_keeps_what_it_says_and_changes_what_it_has_to() -> None:
    assert HERE.to() == "/scheduler/www?q=a+b&sort=name&offset=25"
    assert HERE.to(offset=50) == "/scheduler/www?q=a+b&sort=name&offset=50"
    assert HERE.to(sort="jobs") == "/scheduler/www?q=a+b&sort=jobs", "another order begins at its beginning"
    assert HERE.to(q=None, sort="", reverse=True) == "/scheduler/www?reverse=1"
    assert HERE.sorting("name", "name", False) == "/scheduler/www?q=a+b&sort=name&reverse=1"
    assert HERE.sorting("name", "name", True) == "/scheduler/www?q=a+b&sort=name"
    assert HERE.sorting("jobs", "name", True) == "/scheduler/www?q=a+b&sort=jobs"
    assert HERE.hidden("q") == [("sort", "name")]


def test_names_are_quoted_in_addresses() -> None:
    key = structs.replace(WEB, name="a/b?c#d e")
    assert links.job(key) == "/scheduler/www/test/a%2Fb%3Fc%23d%20e"
    assert links.task(WEB, "../x") == "/scheduler/www/test/webserver/task/..%2Fx"
    assert links.live("r&x", "e") == "/live?role=r%26x&environment=e"


def test_a_list_is_cut_into_pages() -> None:
    page = cut(list(range(60)), Wanted(offset=25), HERE)
    assert (page.rows[0], page.first, page.last, page.before, page.after) == (25, 26, 50, 0, 50)
    last = cut(list(range(60)), Wanted(offset=500), HERE)
    assert (last.rows[0], last.last, last.after) == (50, 60, None), "behind the end is the last page"
    assert cut([], Wanted(offset=9), HERE).rows == ()
    assert not cut(list(range(25)), Wanted(), HERE).is_paged


def test_pages_of_a_list_are_led_to() -> None:
    things = list(range(250))
    middle = cut(things, Wanted(offset=125, num=10), HERE)
    assert middle.number == 13
    assert middle.pages == (
        (1, 0), (2, None), (10, 90), (11, 100), (12, 110), (13, 120), (14, 130), (15, 140), (16, 150), (17, None),
        (25, 240),
    )  # fmt: skip
    assert [number for number, _ in cut(things, Wanted(num=100), HERE).pages] == [1, 2, 3]
    assert cut(things, Wanted(offset=200, num=100), HERE).pages[-1] == (3, 200)
    assert cut(things[:50], Wanted(), HERE).pages == (), "back and on are enough for two"


def test_a_list_is_sorted_both_ways() -> None:
    orders: dict[str, Order[int]] = {"n": Order(lambda n: n), "size": Order(abs, descending=True)}
    assert arrange([3, -5, 1], Wanted(), orders, "n") == [-5, 1, 3]
    assert arrange([3, -5, 1], Wanted(reverse=True), orders, "n") == [3, 1, -5]
    assert arrange([3, -5, 1], Wanted(sort="size"), orders, "n") == [-5, 3, 1]
    assert arrange([3, -5, 1], Wanted(sort="size", reverse=True), orders, "n") == [1, 3, -5]


def test_configurations_in_words() -> None:
    assert config_text.constraint_words(making.limit("rack", 2)) == "rack = limit:2"
    assert config_text.constraint_words(making.value("zone", "a", "b", negated=True)) == "zone = !a,b"
    image = Container(mesos=MesosContainer(image=Image(docker=DockerImage(name="web", tag="1"))))
    assert config_text.container_words(image) == "web:1"
    assert config_text.container_words(Container(docker=DockerContainer(image="web"))) == "docker web"
    assert config_text.container_words(Container()) == ""
    assert config_text.partition_words(PartitionPolicy(reschedule=False)) == "waited for"
    policies = {
        "99.5 % up for 60 s": SlaPolicy(percentage_sla_policy=PercentageSlaPolicy(percentage=99.5, duration_secs=60)),
        "3 up for 60 s": SlaPolicy(count_sla_policy=CountSlaPolicy(count=3, duration_secs=60)),
        "asks http://x": SlaPolicy(coordinator_sla_policy=CoordinatorSlaPolicy(coordinator_url="http://x")),
        "": None,
    }
    assert [config_text.sla_words(each) for each in policies.values()] == list(policies)
    assert ("Failures allowed", "any") in config_text.facts_of(structs.replace(config(WEB), max_task_failures=-1))
    assert config_text.ranges_words([(0, 3), (7, 7)]) == "0-3, 7"


def test_a_configuration_as_text_shows_what_executors_are_told() -> None:
    assert '"cmdline": "./run 1"' in config_text.config_text(config(WEB))
    for data in ("not json", '"\\ud800"', "[" * 3_000):
        odd = structs.replace(config(WEB), executor_config=ExecutorConfig(name="x", data=data))
        config_text.config_text(odd).encode()


def test_the_difference_of_two_configurations() -> None:
    one, two = (config_text.config_text(config(WEB, version)) for version in "12")
    lines = config_text.diff_lines(one, two)
    assert {line.text.strip() for line in lines if line.kind == "gone"} == {
        '-            "cmdline": "./run 1",', '-      "value": "1"',
    }  # fmt: skip
    assert {line.kind for line in lines} == {"same", "gone", "come", "skip"}
    assert config_text.diff_lines(one, one) == []
    long = config_text.diff_lines("\n".join(map(str, range(9_000))), "")
    assert len(long) == config_text.MOST_LINES + 1 and "more lines" in long[-1].text


# --- updates ---------------------------------------------------------------------------------------------------------


def event(instance: int, action: JobUpdateAction, at_s: float) -> JobInstanceUpdateEvent:
    return JobInstanceUpdateEvent(instance_id=instance, timestamp_ms=int(at_s * 1000), action=action)


def settings(strategy: UpdateStrategy) -> JobUpdateSettings:
    return JobUpdateSettings(update_strategy=strategy)


BATCHES = settings(UpdateStrategy(batch_strategy=BatchStrategy(group_size=2)))
QUEUE = settings(UpdateStrategy(queue_strategy=QueueStrategy(group_size=2)))


def cells(
    diff: InstanceDiff,
    current: Mapping[int, TaskConfig],
    wanted: TaskConfig,
    how: JobUpdateSettings,
    events: Sequence[JobInstanceUpdateEvent],
) -> tuple[tuple[Cell, ...], ...]:
    summary = JobUpdateSummary(key=JobUpdateKey(job=WEB, id="u"), user="jane")
    update = JobUpdate(summary=summary, instructions=instructions_of(diff, current, wanted, how))
    return cells_of(progress_of(update, (), events))


def test_the_grid_shows_where_every_instance_stands() -> None:
    current = dict.fromkeys(range(4), config(WEB, "1"))
    diff = diff_instances(current, config(WEB, "2"), 3)
    events = [event(0, _A.INSTANCE_UPDATING, 1), event(1, _A.INSTANCE_UPDATING, 1), event(0, _A.INSTANCE_UPDATED, 2),
              event(1, _A.INSTANCE_UPDATE_FAILED, 3)]  # fmt: skip
    groups = cells(diff, current, config(WEB, "2"), BATCHES, events)
    assert [[cell.instance for cell in group] for group in groups] == [[0, 1], [2, 3]]
    found = cells_by_instance(groups)
    assert [cell.stage for cell in found] == [Stage.UPDATED, Stage.UPDATE_FAILED, Stage.UNTOUCHED, Stage.UNTOUCHED]
    assert [cell.kind for cell in found] == ["change", "change", "change", "remove"]
    assert found[3].words == "instance 3: untouched"
    queued = cells(diff, current, config(WEB, "2"), QUEUE, events)
    assert len(queued) == 1, "a queue has no batches"
    grown = diff_instances(current, config(WEB, "1"), 6)
    added = cells(grown, current, config(WEB, "1"), QUEUE, [])
    assert [cell.kind for cell in added[0]] == ["add", "add"]


def test_the_timeline_is_bounded_and_ends_as_the_update_does() -> None:
    events = [event(n // 2, _A.INSTANCE_UPDATED if n % 2 else _A.INSTANCE_UPDATING, 10 + n / 100) for n in range(8_000)]
    bands = bands_of(4_000, 10.0, events, 100.0)
    order = list(Stage)
    assert len(bands) <= 202
    assert bands[0].at == 10.0 and bands[-1].at == 100.0
    assert all(sum(band.counts) == 4_000 for band in bands)
    assert bands[-1].counts[order.index(Stage.UPDATED)] == 4_000
    assert [band.at for band in bands] == sorted(band.at for band in bands)
    assert [words for _, words in timeline_layers(bands)] == ["updated", "updating", "untouched"]


def test_what_was_rolled_back_looks_like_no_success() -> None:
    half = progress_bar(1, 2, JobUpdateStatus.ROLLING_FORWARD)
    assert "c-updated" in half and "c-untouched" in half
    back = progress_bar(2, 2, JobUpdateStatus.ROLLED_BACK)
    assert "c-rolled-back" in back and "c-updated" not in back and "c-untouched" not in back


def test_strategies_in_words() -> None:
    var = settings(
        UpdateStrategy(var_batch_strategy=VarBatchStrategy(group_sizes=(1, 2, 5), autopause_after_batch=True))
    )
    assert dict(settings_words(var))["Batch sizes"] == "1, 2, 5"
    assert dict(settings_words(var))["Pauses after a batch"] == "yes"
    assert dict(settings_words(QUEUE))["At once"] == "2"
    full = structs.replace(BATCHES, block_if_no_pulses_after_ms=1500, sla_aware=True, progress_deadline_ms=60_000)
    told = dict(settings_words(full))
    assert (told["Pulse every"], told["SLA aware"], told["Progress deadline"]) == ("1.5 s", "yes", "60 s")


# --- samples ---------------------------------------------------------------------------------------------------------


def test_samples_tell_what_came_since_the_last_one() -> None:
    samples = Samples(most=2)
    for at, placed, waited in ((0.0, 10, 5.0), (5.0, 12, 6.0), (10.0, 12, 6.0)):
        samples.add(at, {ScheduleStatus.RUNNING: placed, ScheduleStatus.KILLING: 1}, placed, waited)
    first, last = samples.kept()
    assert (first.at, first.placed, first.waited_s) == (5.0, 2, 1.0)
    assert (last.placed, last.waited_s) == (0, 0.0)
    assert dict(zip(KINDS, last.counts, strict=True))["running"] == 12
    assert frozenset().union(*KINDS.values()) >= ACTIVE, "every active task is in a layer"
