"""What the observer costs: `python -m bench.observer [ACTIVE] [FINISHED] [IDLE SECONDS]`.

Makes a checkpoint root with ACTIVE tasks of ten (really sleeping) processes and FINISHED finished ones, starts the
observer on it and on an empty root, and prints medians of page times, idle CPU, memory (PSS) and threads.
"""

from __future__ import annotations

import http.client
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.observer.build import KERNEL, Builder

PROCESSES = 10
PAGES = ("/", "/main/active", "/main/finished", "/j/task_ids/active", "/api/v1/tasks", "/task/active-0000", "/metrics")


def make_root(root: Path, active: int, finished: int, sleepers: list[subprocess.Popen[bytes]]) -> None:
    builder = Builder(root)
    root.mkdir(parents=True)
    for number in range(finished):
        builder.task(f"finished-{number:05}", processes=("a", "b")).run("a").run("b").finish()
    names = [f"p{number}" for number in range(PROCESSES)]
    for number in range(active):
        task = builder.task(f"active-{number:04}", processes=names)
        for name in names:
            pid = sleepers.pop().pid
            status = KERNEL.proc_stat(pid)
            task.start(name, pid=pid, start=status.start if status else 0)
            task.log(name, 0, "stdout", "hello\n" * 20)


@contextmanager
def observer(root: Path) -> Iterator[tuple[int, int]]:
    """(pid, port) of one that serves."""
    command = [sys.executable, "-m", "observer.main", "--root", str(root), "--port", "0"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    found = re.search(r":(\d+)/$", child.stderr.readline().strip())
    assert found is not None
    try:
        yield child.pid, int(found[1])
    finally:
        child.terminate()
        child.wait()


def page_ms(port: int, path: str, times: int = 50, rest: float = 0.0) -> tuple[float, int]:
    """Median milliseconds and bytes over one connection; `rest` seconds between, so that nothing is at hand."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    took, size = [], 0
    for _ in range(times):
        time.sleep(rest)
        begun = time.perf_counter()
        connection.request("GET", path)
        size = len(connection.getresponse().read())
        took.append(time.perf_counter() - begun)
    connection.close()
    return statistics.median(took) * 1000, size


def pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def report(pid: int, port: int, empty_ms: float, empty_cold_ms: float, idle: float) -> None:
    time.sleep(3)
    for path in PAGES:
        first, _ = page_ms(port, path, 1)
        cold, _ = page_ms(port, path, 4, 1.1)
        median, size = page_ms(port, path)
        print(
            f"{path:22} first {first:7.2f} ms   after 1 s {cold:7.2f} ms ({cold / empty_cold_ms:4.1f}x empty)   "
            f"median {median:7.2f} ms ({median / empty_ms:4.1f}x empty)   {size:9,} B"
        )
    before, begun = cpu_seconds(pid), time.monotonic()
    time.sleep(idle)
    share = (cpu_seconds(pid) - before) / (time.monotonic() - begun)
    threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
    print(f"idle CPU {share:.2%} of a core over {idle:.0f} s, PSS {pss_kib(pid):,} KiB, {threads} threads")


def main() -> None:
    words = [float(word) for word in sys.argv[1:]]
    active, finished, idle = (*words, *(100.0, 2000.0, 60.0)[len(words) :])
    sleepers = [subprocess.Popen(["sleep", "100000"]) for _ in range(int(active) * PROCESSES)]
    try:
        with tempfile.TemporaryDirectory() as place:
            make_root(Path(place, "root"), int(active), int(finished), list(sleepers))
            Path(place, "empty").mkdir()
            with observer(Path(place, "empty")) as (pid, port):
                page_ms(port, "/main/active", 3)
                empty_cold_ms = page_ms(port, "/main/active", 4, 1.1)[0]
                empty_ms = page_ms(port, "/main/active")[0]
                print(f"empty list: {empty_ms:.2f} ms, after 1 s {empty_cold_ms:.2f} ms, PSS {pss_kib(pid):,} KiB")
            with observer(Path(place, "root")) as (pid, port):
                report(pid, port, empty_ms, empty_cold_ms, idle)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


if __name__ == "__main__":
    main()
