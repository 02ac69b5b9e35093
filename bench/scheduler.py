"""What placement costs: `python -m bench.scheduler place|stuck|why HOSTS`, figures as JSON.

`place`: HOSTS simulated hosts in racks, some of them dedicated, some full; jobs of ten tasks with constraints (a set of
racks, a limit per rack, a limit per host, none) are placed until each host has had two tasks or 20,000 are placed.
Whatever an offer keeps comes back as a new offer. Everything that a placement needs is in the figure: its group's turn,
the filters, ports and resources, the TaskInfo, the book's loss of one offer and its gain of another. Processor time,
with the hosts' objects out of the garbage collector's sight, as in a scheduler that has started.
`stuck`: attempts of groups that no host takes: too big, no such rack, a limit that is reached everywhere.
`why`: the whole explanation of one group over all hosts.

`looks` are offers and blocks of them that were looked at for each: they do not depend on the machine.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections import Counter

from msgspec import structs

from mesos.core.messages import (
    AgentID,
    AllocationInfo,
    Attribute,
    CommandInfo,
    FrameworkID,
    Offer,
    OfferID,
    Resource,
    Scalar,
    ranges,
    scalar,
    text_attribute,
)
from scheduler.core.assign import Assignment, Placement, assign
from scheduler.core.executors import THERMOS, ExecutorSettings, LaunchSettings
from scheduler.core.explain import Asked, explain
from scheduler.core.groups import GroupRules, PendingTask, TaskGroups
from scheduler.core.launch import task_info
from scheduler.core.model import (
    AssignedTask,
    Constraint,
    ExecutorConfig,
    InstanceKey,
    JobKey,
    LimitConstraint,
    TaskConfig,
    TaskConstraint,
    ValueConstraint,
)
from scheduler.core.model import Resource as Wish
from scheduler.core.offers import OfferBook
from scheduler.core.reservations import Reservations

RACKS = 40
JOB_SIZE = 10
MOST_PLACED = 20_000
ROLE = "www"
SETTINGS = LaunchSettings("rz1", {THERMOS: ExecutorSettings(THERMOS, CommandInfo(value="./thermos_executor"))})

Figures = dict[str, float]


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
            self.offer(number)

    def offer(self, number: int) -> None:
        kind = number % 10
        cpus = 0.5 if kind == 9 else 16.0
        names = [("rack", f"r{number % RACKS}"), ("os", "ab"[number % 2]), ("host", f"h{number}")]
        if kind == 8:
            names.append(("dedicated", "db/x"))
        resources = (
            scalar("cpus", cpus), scalar("mem", 65536.0), scalar("disk", 1e6), ranges("ports", (31000, 32000))
        )  # fmt: skip
        self.add(number, resources, tuple(text_attribute(*each) for each in names))

    def add(self, number: int, resources: tuple[Resource, ...], attributes: tuple[Attribute, ...]) -> None:
        self.offers += 1
        offer = Offer(
            id=OfferID(value=f"o{self.offers:09}"),
            framework_id=FrameworkID(value="f"),
            agent_id=AgentID(value=f"a{number}"),
            hostname=f"h{number}",
            resources=resources,
            attributes=attributes,
            allocation_info=AllocationInfo(role=ROLE),
        )
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
            for value in values:
                self.running[config.job, name, value] += 1
        offer = each.offer.offer
        left = tuple(_without(r, info.resources) for r in offer.resources)
        self.add(int(each.offer.agent[1:]), left, offer.attributes)


def _without(resource: Resource, taken: tuple[Resource, ...]) -> Resource:
    """Roughly: what a task took of an amount; ports are many."""
    much = sum(t.scalar.value for t in taken if t.name == resource.name and t.scalar is not None)
    if resource.scalar is None or not much:
        return resource
    return structs.replace(resource, scalar=Scalar(value=resource.scalar.value - much))


def a_config(name: str, *constraints: Constraint, cpus: float = 0.5) -> TaskConfig:
    return TaskConfig(
        job=JobKey(role=ROLE, environment="prod", name=name),
        resources=(Wish(num_cpus=cpus), Wish(ram_mb=512), Wish(disk_mb=64), Wish(named_port="http")),
        constraints=constraints,
        executor_config=ExecutorConfig(name=THERMOS, data="x" * 2000),
    )


def value(name: str, *values: str) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(value=ValueConstraint(values=values)))


def limit(name: str, most: int) -> Constraint:
    return Constraint(name=name, constraint=TaskConstraint(limit=LimitConstraint(limit=most)))


def kinds(number: int) -> tuple[Constraint, ...]:
    """What jobs ask for, in turn."""
    racks = [f"r{(number + k) % RACKS}" for k in range(4)]
    return (
        (),
        (value("rack", *racks), value("os", "a")),
        (limit("rack", 2),),
        (limit("host", 1),),
        (value("os", "b"), limit("rack", 4), limit("host", 1)),
    )[number % 5]


def place(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    wanted = min(MOST_PLACED, 2 * hosts)
    for number in range(max(1, wanted // JOB_SIZE)):
        cluster.submit(a_config(f"job{number}", *kinds(number)), JOB_SIZE)
    gc.collect()
    gc.freeze()
    looks, began = cluster.book.looks, time.process_time()
    cluster.settle()
    took = time.process_time() - began
    gc.unfreeze()
    placed = cluster.placed
    return {
        "hosts": hosts,
        "placed": placed,
        "left": cluster.groups.tasks,
        "placements_per_s": round(placed / took),
        "us_per_placement": round(1e6 * took / placed, 1),
        "looks_per_placement": round((cluster.book.looks - looks) / placed, 2),
    }


def stuck(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    reached = a_config("reached", limit("rack", 1))
    for rack in range(RACKS):
        cluster.running[reached.job, "rack", f"r{rack}"] = 1
    for config in (a_config("big", cpus=32.0), a_config("nowhere", value("rack", "none")), reached):
        cluster.submit(config, 1)
    looks, began, attempts, now = cluster.book.looks, time.process_time(), 0, 0.0
    while attempts < 300:
        now = max(now, cluster.groups.next_wake() or now)
        assert cluster.turn(now) == 0
        attempts += 1
    took = time.process_time() - began
    return {
        "hosts": hosts,
        "us_per_attempt": round(1e6 * took / attempts, 1),
        "looks_per_attempt": round((cluster.book.looks - looks) / attempts, 2),
    }


def why(hosts: int) -> Figures:
    cluster = Cluster(hosts)
    config = a_config("why", value("os", "a"), limit("rack", 1), cpus=32.0)
    asked = Asked(config, SETTINGS.wanted_of(config))
    began = time.process_time()
    answer = explain(asked, cluster.book, cluster.count, 0.0, 0.0)
    assert len(answer.hosts) == hosts and answer.smallest is not None and answer.by_reason
    return {"hosts": hosts, "ms": round(1000 * (time.process_time() - began), 1)}


MODES = {"place": place, "stuck": stuck, "why": why}


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in MODES or not arguments[1].isdecimal():
        print(__doc__)
        return 2
    print(json.dumps(MODES[arguments[0]](int(arguments[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
