"""The core of placement alone: no store, no states, no effects.

`place`: jobs with constraints are placed until each host has had two tasks or 20,000 are placed. Whatever an offer
keeps comes back as a new offer. In the figure: a group's turn, the filters, ports and resources, the TaskInfo, the
book's loss of one offer and its gain of another.
`stuck`: attempts of groups that no host takes: too big, no such rack, a limit that is reached everywhere.
`explain`: the whole explanation of one group over all hosts.

`looks` are offers and blocks of them that were looked at for each: they do not depend on the machine.
"""

from __future__ import annotations

import random
import time
from collections import Counter

from bench.scheduler.making import (
    JOB_SIZE,
    RACKS,
    SETTINGS,
    Figures,
    a_config,
    host_offer,
    kinds,
    limit,
    rest_of,
    settled_memory,
    value,
)
from mesos.core.messages import Offer
from scheduler.core.assign import Assignment, Placement, assign
from scheduler.core.explain import Asked, explain
from scheduler.core.groups import GroupRules, PendingTask, TaskGroups
from scheduler.core.launch import task_info
from scheduler.core.model import AssignedTask, InstanceKey, JobKey, TaskConfig
from scheduler.core.offers import OfferBook
from scheduler.core.reservations import Reservations

MOST_PLACED, ENOUGH = 20_000, 2000
ATTEMPTS = 300


class Cluster:
    """Hosts whose offers come back, smaller, after each task; tasks are counted as the store would."""

    def __init__(self, hosts: int, seed: int = 7) -> None:
        self.rng = random.Random(seed)
        self.book = OfferBook()
        self.groups = TaskGroups(GroupRules())
        self.running: Counter[tuple[JobKey, str, str]] = Counter()
        self.offers = 0
        self.placed = 0
        for number in range(hosts):
            self.add(host_offer(number, self.next_offer()))

    def next_offer(self) -> int:
        self.offers += 1
        return self.offers

    def add(self, offer: Offer) -> None:
        self.book.add(offer, 0.0, self.rng.random)

    def count(self, job: JobKey, attribute: str, value: str) -> int:
        return self.running[job, attribute, value]

    def submit(self, config: TaskConfig, count: int) -> None:
        for instance in range(count):
            key = InstanceKey(job_key=config.job, instance_id=instance)
            self.groups.add(PendingTask(f"{config.job.name}-{instance}", key), config, 0.0)

    def settle(self, until: float = 30.0) -> None:
        """Rounds until nobody waits, or those who do wait long."""
        now = 0.0
        while (wake := self.groups.next_wake()) is not None and wake <= until:
            now = max(now, wake)
            self.turn(now)

    def turn(self, now: float) -> int:
        """One round; how many tasks were placed in it."""
        attempts = self.groups.begin(now)
        placement = Placement(self.book, self.count, Reservations(), SETTINGS.wanted_of, 0.0, self.rng.random)
        outcome = assign(attempts, placement)
        configs = {each.group: each.config for each in attempts}
        for each in outcome.assignments:
            self.launched(each, configs[each.group])
        for attempt in attempts:
            self.groups.settle(attempt, outcome.assigned_of(attempt), now, self.rng.random)
        self.placed += len(outcome.assignments)
        return len(outcome.assignments)

    def launched(self, each: Assignment, config: TaskConfig) -> None:
        record = AssignedTask(task_id=each.task.task_id, task=config, instance_id=each.task.instance.instance_id)
        info = task_info(each.fill(record), each.allocation, SETTINGS)
        for name, values in each.offer.attributes.items():
            for one in values:
                self.running[config.job, name, one] += 1
        self.add(rest_of(each.offer.offer, info.resources, self.next_offer()))


def place(hosts: int) -> Figures:
    """Small clusters several times, until 2,000 tasks are placed: all are measured warm."""
    took, placed, left, looks = 0.0, 0, 0, 0
    while placed < ENOUGH:
        cluster = Cluster(hosts)
        for number in range(max(1, min(MOST_PLACED, 2 * hosts) // JOB_SIZE)):
            cluster.submit(a_config(f"job{number}", *kinds(number)), JOB_SIZE)
        with settled_memory():
            before, began = cluster.book.looks, time.process_time()
            cluster.settle()
            took += time.process_time() - began
        placed += cluster.placed
        left += cluster.groups.tasks
        looks += cluster.book.looks - before
    return {
        "hosts": hosts,
        "placed": placed,
        "left": left,
        "placements_per_s": round(placed / took),
        "us_per_placement": round(1e6 * took / placed, 1),
        "looks_per_placement": round(looks / placed, 2),
    }


def stuck(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    reached = a_config("reached", limit("rack", 1))
    for rack in range(RACKS):
        cluster.running[reached.job, "rack", f"r{rack}"] = 1
    for config in (a_config("big", cpus=32.0), a_config("nowhere", value("rack", "none")), reached):
        cluster.submit(config, 1)
    looks, began, attempts, now = cluster.book.looks, time.process_time(), 0, 0.0
    while attempts < ATTEMPTS:
        now = max(now, cluster.groups.next_wake() or now)
        assert cluster.turn(now) == 0
        attempts += 1
    took = time.process_time() - began
    return {
        "hosts": hosts,
        "us_per_attempt": round(1e6 * took / attempts, 1),
        "looks_per_attempt": round((cluster.book.looks - looks) / attempts, 2),
    }


def explained(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    config = a_config("why", value("os", "a"), limit("rack", 1), cpus=32.0)
    asked = Asked(config, SETTINGS.wanted_of(config))
    began = time.process_time()
    answer = explain(asked, cluster.book, cluster.count, 0.0, 0.0)
    assert len(answer.hosts) == hosts and answer.smallest is not None and answer.by_reason
    return {"hosts": hosts, "ms": round(1000 * (time.process_time() - began), 1)}
