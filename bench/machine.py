"""The machine: what it is, and how much of it others use while we measure."""

from __future__ import annotations

import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from bench.accounting import Accounting

_TICKS = os.sysconf("SC_CLK_TCK")
_QUIET_CORES = 0.3
_LOOK_S = 0.4


def machine_cpu_s() -> float:
    """Busy seconds of all cores since boot: user, nice, system, irq, softirq, steal."""
    fields = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICKS


def our_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True, slots=True)
class Noise:
    """Measures from its beginning on."""

    accounting: Accounting
    machine_s: float
    run_s: float
    bench_s: float
    began: float

    @staticmethod
    def begin(accounting: Accounting) -> Noise:
        return Noise(accounting, machine_cpu_s(), accounting.cpu_s(), our_cpu_s(), time.monotonic())

    def others(self) -> float:
        """Cores used by neither the run nor the bench; to about 10 ms of CPU."""
        ours = self.accounting.cpu_s() - self.run_s + our_cpu_s() - self.bench_s
        span = max(time.monotonic() - self.began, 1e-9)
        return max(0.0, (machine_cpu_s() - self.machine_s - ours) / span)


def wait_for_quiet(patience_s: float) -> None:
    """Until the machine uses less than 0.3 cores, but not longer than that."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        busy, began = machine_cpu_s(), time.monotonic()
        time.sleep(_LOOK_S)
        if (machine_cpu_s() - busy) / (time.monotonic() - began) < _QUIET_CORES:
            return


def describe_machine(accounting: str) -> dict[str, str]:
    """For the head of a report."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processor": f"{len(os.sched_getaffinity(0))} × {models[0] if models else platform.machine()}",
        "memory": f"{int(total.split()[1]) / 2**20:.1f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "accounting": accounting,
        "load at the beginning": " ".join(f"{x:.2f}" for x in os.getloadavg()),
    }
