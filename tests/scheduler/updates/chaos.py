"""Updates in a world in which anything may happen: people start and stop them, tasks die, agents go, commits fail, the
scheduler is killed. What holds of an update at every moment is checked here."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise

from msgspec import structs

from scheduler.core.model import CountSlaPolicy, JobKey, SlaPolicy
from scheduler.core.states import ScheduleStatus
from scheduler.core.update_diff import configs_of
from scheduler.core.update_model import (
    UPDATE_ACTIVE,
    BatchStrategy,
    JobUpdateQuery,
    JobUpdateRequest,
    JobUpdateSettings,
    JobUpdateStatus,
    QueueStrategy,
    UpdateStrategy,
    VarBatchStrategy,
)
from scheduler.core.update_progress import Progress, progress_of
from scheduler.core.update_states import PAUSED, TABLE, Wish
from scheduler.core.update_strategy import strategy_of
from scheduler.core.validation import Rules
from scheduler.service import updates
from scheduler.service.context import Context, ServiceSettings
from scheduler.service.refusals import Refusal, RefusalCode
from scheduler.store.update_table import UpdateEntry
from scheduler.update_rules import UpdateRules
from tests.scheduler.engine import test_random
from tests.scheduler.engine.test_random import INSTANCES, JOBS, Chaos

U = JobUpdateStatus
RULES = Rules(environments=".*", sla_for_all_tiers=True, sla_min_instances=0)
UPDATABLE = [each for each in JOBS if each.is_service and each is not test_random.WAITED_FOR]
POLICY = SlaPolicy(count_sla_policy=CountSlaPolicy(count=1, duration_secs=5))
STRATEGIES = (
    UpdateStrategy(queue_strategy=QueueStrategy(group_size=1)),
    UpdateStrategy(queue_strategy=QueueStrategy(group_size=2)),
    UpdateStrategy(batch_strategy=BatchStrategy(group_size=2)),
    UpdateStrategy(batch_strategy=BatchStrategy(group_size=1, autopause_after_batch=True)),
    UpdateStrategy(var_batch_strategy=VarBatchStrategy(group_sizes=(1, 2))),
)


class UpdateChaos(Chaos):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        rules = UpdateRules(affinity=bool(seed % 2), sla_for_all_tiers=True, sla_min_instances=0)
        self.settings = dataclasses.replace(self.settings, updates=rules)
        self.restart()
        self.subscribe()

    @property
    def context(self) -> Context:
        return Context(self.engine, ServiceSettings(cluster="c", rules=RULES))

    def active(self) -> list[UpdateEntry]:
        return self.tables.updates.page(JobUpdateQuery(update_statuses=UPDATE_ACTIVE))

    # --- what people do; n says to which job, and how ------------------------------------------------------------

    def do_update(self, n: int) -> None:
        old = UPDATABLE[n % len(UPDATABLE)]
        sla = (n // 7) % 3 == 0
        wanted = structs.replace(old, priority=n % 3, sla_policy=POLICY if sla else None)
        settings = JobUpdateSettings(
            update_strategy=STRATEGIES[n % len(STRATEGIES)],
            max_per_instance_failures=n % 2,
            max_failed_instances=(n // 2) % 2,
            min_wait_in_instance_running_ms=(0, 5000, 30_000)[n % 3],
            rollback_on_failure=n % 4 != 0,
            block_if_no_pulses_after_ms=600_000 if n % 5 == 0 else 0,
            sla_aware=sla,
            progress_deadline_ms=3_600_000 if n % 3 == 0 else 0,
        )
        count = INSTANCES if sla else 1 + n % INSTANCES
        self._started(JobUpdateRequest(task_config=wanted, instance_count=count, settings=settings))

    def _started(self, request: JobUpdateRequest) -> None:
        try:
            made = self.act(lambda turn: updates.start_update(self.context, turn, request, "ann"))
        except Refusal as refusal:
            assert refusal.code is RefusalCode.JOB_UPDATING, str(refusal)
            self.faults.fired["second updates"] += 1
        else:
            self.faults.fired["updates" if made.started else "updates of nothing"] += 1

    def do_wish_update(self, n: int) -> None:
        entries = self.active()
        wish = (Wish.PAUSE, Wish.RESUME, Wish.RESUME, Wish.ROLLBACK, Wish.PAUSE, Wish.ABORT)[n % 6]
        if not entries:
            return
        key = entries[n // 6 % len(entries)].update.summary.key
        try:
            self.act(lambda turn: updates.wish(self.context, turn, key.job, key.id, wish, "bob"))
            self.faults.fired[f"wish {wish}"] += 1
        except Refusal as refusal:
            assert refusal.code is RefusalCode.INVALID_REQUEST and wish is Wish.ROLLBACK

    def do_pulse_update(self, n: int) -> None:
        for entry in self.active():
            key = entry.update.summary.key
            self.act(lambda turn, key=key: updates.pulse(self.context, turn, key.job, key.id))  # type: ignore[misc]

    def do_add(self, n: int) -> None:
        if not self._updating(JOBS[n % len(JOBS)].job):
            super().do_add(n)

    def _wish(self, n: int, to: ScheduleStatus) -> None:
        """The service layer lets nobody kill tasks of a job that is updated; drains and the like may."""
        if to is not ScheduleStatus.KILLING:
            super()._wish(n, to)
            return
        free = sorted(
            task.id for task in self.tables.tasks.all() if task.is_active and not self._updating(task.config.job)
        )
        if free:
            self.wish(free[n % len(free)], to)

    def _updating(self, job: JobKey) -> bool:
        return self.tables.updates.active(job) is not None

    # --- peace ---------------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Whoever has paused an update resumes it; pulses come."""
        self.lag = False
        self.settle()
        self.last = {entry.update.summary.key: entry for entry in self.active()}
        super().heal()

    def _work(self) -> None:
        super()._work()
        for entry in self.active():
            key, status = entry.update.summary.key, entry.state.status
            if entry.update.instructions.settings.block_if_no_pulses_after_ms:
                self.act(lambda turn, key=key: updates.pulse(self.context, turn, key.job, key.id))  # type: ignore[misc]
            if status in PAUSED:
                self.act(
                    lambda turn, key=key: updates.wish(  # type: ignore[misc]
                        self.context, turn, key.job, key.id, Wish.RESUME, "bob"
                    )
                )

    def check_peace(self) -> None:
        """Those that went on into peace have ended, as their last status promises."""
        super().check_peace()
        assert self.active() == [], [self.engine.updates.waits_for(entry, self.now) for entry in self.active()]
        for entry in self.last.values():
            if entry.state.status in (U.ROLLED_FORWARD, U.ROLLED_BACK):
                self._check_promise(entry)
            self.faults.fired[f"ended {entry.state.status}"] += 1

    def _check_promise(self, entry: UpdateEntry) -> None:
        progress = progress_of(entry.update, entry.events, entry.instance_events)
        targets = configs_of(entry.update.instructions.initial_state)
        if entry.state.status is U.ROLLED_FORWARD:
            desired = entry.update.instructions.desired_state
            targets = configs_of([desired] if desired is not None else [])
        now = {
            task.assigned_task.instance_id: task.config
            for task in self.tables.tasks.active_of_job(entry.update.summary.key.job)
        }
        for instance in progress.forward.walk.order:
            if progress.way.ended.get(instance) is not False:
                assert now.get(instance) == targets.get(instance), f"instance {instance} is not as promised"

    # --- what holds always ---------------------------------------------------------------------------------------

    def check(self) -> None:
        super().check()
        desk = self.engine.updates
        assert set(desk._running) == {entry.update.summary.key for entry in self.active()}
        assert set(desk._of_job.values()) == set(desk._running)
        assert self.engine.stats.update_errors == 0
        for entry in self.tables.updates.walk():
            check_history(entry)
            assert folded(desk.progress(entry)) == folded(
                progress_of(entry.update, entry.events, entry.instance_events)
            )


def folded(progress: Progress) -> object:
    return [(way.begun, way.ended, way.failures) for way in (progress.forward, progress.backward)], progress.status


def check_history(entry: UpdateEntry) -> None:
    """Statuses by the table, every event once, and never more instances in the works than the strategy lets."""
    statuses = [event.status for event in entry.events]
    for before, after in pairwise(statuses):
        assert after in TABLE[before], f"{before} to {after}"
    again = Counter((each.instance_id, each.action, each.message) for each in entry.instance_events)
    assert max(again.values(), default=1) == 1, again
    fresh = progress_of(entry.update, (), ())
    queue = strategy_of(entry.update.instructions.settings).queue_strategy
    for way in (fresh.forward, fresh.backward):
        flight: set[int] = set()
        for event in entry.instance_events:
            if event.action is way.words.begun:
                flight.add(event.instance_id)
            elif event.action in (way.words.done, way.words.failed):
                flight.remove(event.instance_id)
            if queue is not None:
                assert len(flight) <= queue.group_size
            else:
                assert any(flight <= set(group) for group in way.walk.groups), flight
