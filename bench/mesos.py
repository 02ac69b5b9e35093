"""What Mesos' messages and the simulation cost: `python -m bench.mesos offers|bare|simulate COUNT`, figures as JSON.

`offers`: one OFFERS event with COUNT agents' offers, from the bytes of the socket to every offer in a dict by its host.
`bare`: `json.loads` of the same bytes, and no more. Both take the quickest of some rounds.
`simulate`: COUNT simulated agents in this process on a virtual clock: memory, their offers in one event, and tasks
launched, run and finished on them.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mesos.core.messages import (
    URL,
    Address,
    AgentID,
    CommandInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Launch,
    Offer,
    OfferID,
    Operation,
    OperationType,
    TaskID,
    TaskInfo,
    TaskState,
    ranges,
    scalar,
    text_attribute,
)
from mesos.core.recordio import RecordReader, frame
from mesos.core.scheduler_api import Event, EventType, Offers, accept, acknowledge, suppress
from mesos.core.wire import decode, encode
from mesos.local.simulation import Simulation

#: What a read of a socket gives at most.
PIECE = 256 * 1024
ROUNDS = 5

Figures = dict[str, float]


def offers_event(count: int) -> Event:
    """As a real master's: attributes, four resources, allocated to a role."""
    return Event(type=EventType.OFFERS, offers=Offers(offers=tuple(_offer(number) for number in range(count))))


def _offer(number: int) -> Offer:
    host = f"agent{number}.rack{number % 40}.example"
    identity = "c6ccaa3d-40a0-4b47-9cec-40e68a0fddce"
    return Offer(
        id=OfferID(value=f"{identity}-O{number}"),
        framework_id=FrameworkID(value=f"{identity}-0000"),
        agent_id=AgentID(value=f"{identity}-S{number}"),
        hostname=host,
        url=URL(scheme="http", address=Address(hostname=host, ip="10.0.0.1", port=5051), path="/slave(1)"),
        resources=(
            ranges("ports", (31000, 31499), (31501, 32000), role="aurora"),
            scalar("cpus", 31.5, "aurora"),
            scalar("mem", 129024.0, "aurora"),
            scalar("disk", 512000.0, "aurora"),
        ),
        attributes=(text_attribute("host", host), text_attribute("rack", f"rack{number % 40}")),
    )


def pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + PIECE] for at in range(0, len(data), PIECE))


def take_offers(stream: bytes) -> int:
    """All that a scheduler does with the bytes before it thinks: frame, decode, look at each offer."""
    reader = RecordReader()
    book: dict[str, tuple[Offer, dict[str, float]]] = {}
    for piece in pieces(stream):
        for record in reader.feed(piece):
            event = decode(record, Event)
            for offer in event.offers.offers if event.offers is not None else ():
                book[offer.hostname] = offer, {r.name: r.scalar.value for r in offer.resources if r.scalar is not None}
    return len(book)


def quickest(work: Callable[[], object]) -> float:
    """Seconds; the garbage of one round is not the next one's."""
    took = []
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return min(took)


def measure_offers(count: int) -> Figures:
    event = offers_event(count)
    record = encode(event)
    stream = frame(record)
    decoding = quickest(lambda: take_offers(stream))
    encoding = quickest(lambda: encode(event))
    return {
        "decode_ms": decoding * 1000,
        "encode_ms": encoding * 1000,
        "each_us": decoding / count * 1e6,
        "mib": len(record) / 2**20,
        "agents": count,
    }


def measure_bare(count: int) -> Figures:
    record = encode(offers_event(count))
    value = json.loads(record)
    decoding = quickest(lambda: json.loads(record))
    encoding = quickest(lambda: json.dumps(value))
    return {
        "decode_ms": decoding * 1000,
        "encode_ms": encoding * 1000,
        "each_us": decoding / count * 1e6,
        "mib": len(record) / 2**20,
        "agents": count,
    }


def pss_kib() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


class Launcher:
    """A framework that takes every offer once and runs one task on it, for a second of virtual time."""

    def __init__(self, simulation: Simulation) -> None:
        info = FrameworkInfo(user="nobody", name="bench", checkpoint=True, failover_timeout=1e6)
        self.offers: list[Offer] = []
        self.finished = 0
        self.scheduler = simulation.connect(info, self.hear)

    def hear(self, event: Event) -> None:
        if event.offers is not None:
            self.offers += event.offers.offers
        elif event.update is not None:
            status = event.update.status
            self.finished += status.state == TaskState.FINISHED
            if status.uuid:
                self.scheduler.call(acknowledge(status))

    def launch_on(self, offer: Offer) -> None:
        number = offer.agent_id.value
        executor = ExecutorInfo(
            executor_id=ExecutorID(value=f"e-{number}"),
            framework_id=self.scheduler.framework_id,
            command=CommandInfo(value="true"),
            resources=(scalar("cpus", 0.1), scalar("mem", 32)),
        )
        task = TaskInfo(
            name="bench",
            task_id=TaskID(value=f"t-{number}"),
            agent_id=offer.agent_id,
            resources=(scalar("cpus", 1), scalar("mem", 128)),
            executor=executor,
            data=b'{"run_s": 1}',
        )
        launch = Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=(task,)))
        self.scheduler.call(accept([offer.id], [launch], refuse_seconds=3600))


def measure_simulation(count: int) -> Figures:
    gc.collect()
    before, begun = pss_kib(), time.perf_counter()
    simulation = Simulation(agents=count, agent_options={"registration_backoff_factor_s": 1.0})
    simulation.advance(5)
    registering = time.perf_counter() - begun
    gc.collect()
    grown = pss_kib() - before
    begun = time.perf_counter()
    launcher = Launcher(simulation)
    expect(simulation.run_until(lambda: len(launcher.offers) == count, 30), "not all agents were offered")
    offering = time.perf_counter() - begun
    begun = time.perf_counter()
    for offer in launcher.offers:
        launcher.launch_on(offer)
    expect(simulation.run_until(lambda: launcher.finished == count, 60), "not all tasks finished")
    running = time.perf_counter() - begun
    launcher.scheduler.call(suppress())
    simulation.advance(60)
    begun = time.perf_counter()
    simulation.advance(60)
    idling = time.perf_counter() - begun
    return {
        "agents": count,
        "agent_kib": grown / count,
        "register_us": registering / count * 1e6,
        "offers_ms": offering * 1000,
        "tasks_per_s": count / running,
        "idle_us": idling / count * 1e6,
    }


def expect(came_true: bool, otherwise: str) -> None:
    if not came_true:
        raise SystemExit(f"bench.mesos: {otherwise}")


MEASURES = {"offers": measure_offers, "bare": measure_bare, "simulate": measure_simulation}


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in MEASURES or not argv[1].isdigit():
        print(f"usage: python -m bench.mesos {'|'.join(MEASURES)} COUNT", file=sys.stderr)
        return 2
    print(json.dumps(MEASURES[argv[0]](int(argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
