"""One figure after the other as JSON: `python -m bench.scheduler CASE SIZE`.

place, stuck, explain HOSTS     the core of placement alone (bench.scheduler.placement)
engine, why HOSTS               the whole engine (bench.scheduler.engine)
events, memory TASKS            the same
restart, commits TASKS          with the store in a file (bench.scheduler.durable)
simulate HOSTS                  loop, link and engine on the embedded Mesos (bench.scheduler.simulated)

Processor time of this process, where nothing else is said; `bench.scheduler.making` says what jobs and hosts are like.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

from bench.scheduler import durable, engine, placement, simulated
from bench.scheduler.making import Figures

MEASURES: Mapping[str, Callable[[int], Figures]] = {
    "place": placement.place,
    "stuck": placement.stuck,
    "explain": placement.explained,
    "engine": engine.engine,
    "events": engine.events,
    "memory": engine.memory,
    "why": engine.why,
    "restart": durable.restart,
    "commits": durable.commits,
    "simulate": simulated.simulate,
}


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] not in MEASURES or not argv[1].isdecimal():
        print(__doc__, file=sys.stderr)
        return 2
    print(json.dumps(MEASURES[argv[0]](int(argv[1]))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
