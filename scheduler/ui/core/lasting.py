"""How long a page stays true when nothing happens to what it shows. Most of what changes says so by an event; what does
not is how the search for a host goes, how far an update's waits are, and how hosts are.
"""

from __future__ import annotations

from scheduler.core.states import ScheduleStatus
from scheduler.ui.core.views import (
    ClusterView,
    ConfigsView,
    ErrorView,
    HomeView,
    InstanceView,
    JobView,
    PendingView,
    QuotaView,
    RoleView,
    TaskView,
    UpdatesView,
    UpdateView,
    View,
)

#: Seconds, of pages on which something moves without events, and of all others.
MOVING_S, STILL_S = 2.0, 20.0

_WAITING = frozenset({ScheduleStatus.PENDING, ScheduleStatus.THROTTLED})


def lasts_s(view: View) -> float:
    return MOVING_S if _moves(view) else STILL_S


def _moves(view: View) -> bool:
    match view:
        case ClusterView() | PendingView() | QuotaView():
            return True
        case JobView():
            return any(status in _WAITING for status, _ in view.statuses)
        case InstanceView() | TaskView():
            return view.why is not None
        case UpdateView():
            return not view.is_over
        case UpdatesView():
            return bool(view.active)
        case HomeView():
            return not view.connected
        case RoleView() | ConfigsView() | ErrorView():
            return False
