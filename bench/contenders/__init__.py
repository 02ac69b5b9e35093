"""All contenders, ours first; which of them are here."""

from __future__ import annotations

from bench.contenders.bare import Bare
from bench.contenders.base import Contender
from bench.contenders.circus import Circus
from bench.contenders.daemontools import S6, Runit
from bench.contenders.ours import Ours, OursAsLibrary
from bench.contenders.pm2 import Pm2
from bench.contenders.supervisord import Supervisord


def all_contenders() -> list[Contender]:
    return [Bare(), Ours(), OursAsLibrary(), Supervisord(), Circus(), S6(), Runit(), Pm2()]


def choose(names: list[str]) -> list[Contender]:
    """Those whose names begin with one of these; the bare loop always. No names: all. Raises ValueError for a name
    that fits none."""
    everyone = all_contenders()
    for name in names:
        if not any(contender.name.startswith(name) for contender in everyone):
            known = ", ".join(contender.name for contender in everyone)
            raise ValueError(f"no contender {name!r}; there are {known}")
    return [c for c in everyone if not names or c.is_bare or any(c.name.startswith(name) for name in names)]
