"""kill -9 at any moment: what was acknowledged is there, and nothing that was not appended.

A small process forks children that write to one store; each is killed after a random pause (drawn from a seed), most
of them in the middle of a commit or of a snapshot, and the store is read back. A killed process leaves what it wrote
in the kernel's hands, so most of it happens in memory, where a sync costs nothing; a share happens on a real disk,
where the pauses meet other moments. `STORE_KILLS` asks for more, `STORE_SEED` for other ones.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

KILLS = int(os.environ.get("STORE_KILLS", "1000"))
SEED = int(os.environ.get("STORE_SEED", "7"))
MEMORY = Path("/dev/shm")


def start(directory: Path, kills: int, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.scheduler.store.killing", str(directory), str(kills), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_writer_loses_and_invents_nothing(tmp_path: Path) -> None:
    on_disk = KILLS // 20
    memory = MEMORY if os.access(MEMORY, os.W_OK) else tmp_path
    with tempfile.TemporaryDirectory(dir=memory) as one, tempfile.TemporaryDirectory(dir=memory) as other:
        runs = [
            start(Path(one), (KILLS - on_disk) // 2, SEED),
            start(Path(other), KILLS - on_disk - (KILLS - on_disk) // 2, SEED + 1),
            start(tmp_path / "store", on_disk, SEED + 2),
        ]
        results = [(run, *run.communicate(timeout=60 + KILLS / 5)) for run in runs]
    for run, _, errors in results:
        assert run.returncode == 0, errors
    told = [[int(word) for word in output.split()] for _, output, _ in results]
    kills, in_flight, in_snapshot, acknowledged, survived = map(sum, zip(*told, strict=True))
    print(
        f"{kills} kills, {in_flight} with writes in flight, {in_snapshot} in snapshots; {acknowledged} operations"
        f" durable, {survived} of them not yet acknowledged when the writer died"
    )
    assert kills == KILLS
    assert in_flight > kills // 4 and in_snapshot > kills // 50
