"""Attacks on a task that root runs as somebody else. Each test is that somebody's try to reach what is root's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.thermos.runner.rig import Rig
from thermos.host.kernel import Kernel
from thermos.host.users import resolve_user

#: The task's user, an attacker.
MALLORY = "nobody"

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs processes as others")

MakeVictim = Callable[..., "Victim"]


class Victim(Rig):
    """A rig whose processes are Mallory's, and a vault that is root's."""

    def __init__(self, place: Path, *processes: Any, **task: Any) -> None:
        super().__init__(place, *processes, **task)
        self.place = place
        self.mallory = resolve_user(MALLORY)
        self.settings = replace(self.settings, user=self.mallory, setuid=True)
        os.chown(self.sandbox, self.mallory.uid, self.mallory.gid)
        self.logs = self.sandbox / ".logs"
        self.vault = place / "vault"
        self.vault.mkdir()
        (self.vault / "stdout").write_text("secret")
        (self.vault / "stdout").chmod(0o600)

    def give(self, *paths: Path) -> None:
        """To Mallory."""
        for path in paths:
            os.lchown(path, self.mallory.uid, self.mallory.gid)

    def vault_is_untouched(self) -> bool:
        return [p.name for p in self.vault.iterdir()] == ["stdout"] and (self.vault / "stdout").read_text() == "secret"

    def stages(self, process: str = "p") -> list[tuple[str, int]]:
        return [(run.stage, run.errno) for run in self.on_disk().processes[process].runs.values()]


@pytest.fixture
def make_victim() -> Iterator[MakeVictim]:
    """Like `make_rig`, where others can reach it; root's vault must be untouched when the test ends."""
    assert Kernel().set_subreaper()
    top = Path(tempfile.mkdtemp(prefix="attack-"))
    top.chmod(0o755)
    victims: list[Victim] = []

    def make(*processes: Any, **task: Any) -> Victim:
        place = top / str(len(victims))
        place.mkdir()
        victims.append(Victim(place, *processes, **task))
        return victims[-1]

    yield make
    left = [pid for victim in victims for pid in victim.close()]
    try:
        for victim in victims:
            assert victim.vault_is_untouched()
        assert not left, f"still alive: {left}"
    finally:
        shutil.rmtree(top)
