"""The end of a local cluster, whether it is up, half up, or what kill -9 has left of it."""

from __future__ import annotations

from pathlib import Path

from client.aurora.local_entry import unregister
from client.aurora.local_place import clear_work_dir, forget_plan
from client.aurora.local_plan import LocalPlan
from client.aurora.local_task import end_leftovers, stop_task
from client.exits import complain
from thermos.errors import ThermosError


def take_down(plan: LocalPlan, *keep: str) -> None:
    """Nothing is left of it, but what to `keep` of its work directory (STORE, LOGS). Raises HostError."""
    _unregister(plan)
    stop_task(plan, "aurora local")
    end_leftovers(plan)
    clear_work_dir(Path(plan.work_dir), *keep)
    forget_plan(plan.cluster)


def _unregister(plan: LocalPlan) -> None:
    """A file that somebody has broken meanwhile keeps no cluster alive."""
    try:
        unregister(Path(plan.clusters_file), plan.cluster)
    except ThermosError as error:
        complain("aurora", f"{error}; the entry of cluster {plan.cluster} stays there")
