"""The end of a local cluster, whether it is up, half up, or what kill -9 has left of it."""

from __future__ import annotations

from pathlib import Path

from client.aurora.local_ask import ask_door, order
from client.aurora.local_entry import unregister
from client.aurora.local_place import clear_work_dir, forget_plan
from client.aurora.local_plan import GRACE_S, LocalPlan
from client.aurora.local_task import end_leftovers, pause, running_tasks, stop_task
from client.exits import complain
from thermos.clock import now
from thermos.errors import HostError, ThermosError

#: Seconds between two looks.
_LOOK_S = 0.1


def end_tasks(plan: LocalPlan) -> None:
    """Everything that runs in it, politely. What takes too long for that is killed with the rest. An executor has more
    to say when its task has ended, to a cluster that will be gone: that is not waited for."""
    if ask_door(plan.control) is None:
        return
    try:
        order(plan.control, "end-agents")
    except HostError as error:
        complain("aurora", f"{error}; what runs is killed")
        return
    give_up_at = now().mono + GRACE_S
    while running_tasks(plan) and now().mono < give_up_at:
        pause(_LOOK_S)


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
