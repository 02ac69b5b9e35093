"""Where tasks run: limits, values and negations over racks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from scheduler.core.model import ScheduledTask
from scheduler.core.states import ScheduleStatus
from tests.mesos.conformance.conftest import MakeMesos
from tests.scheduler.e2e.scheduled import Scheduled, job_of

#: Two racks of two agents.
RACKS = tuple(f"host:agent{i};rack:{'ab'[i // 2]};slots:3" for i in range(4))


async def test_constraints_over_racks(make_mesos: MakeMesos, tmp_path: Path) -> None:
    mesos = await make_mesos(agents=4, attributes=RACKS)
    async with Scheduled(mesos, tmp_path / "store") as scheduled:
        rack_of = {f"agent{i}": "ab"[i // 2] for i in range(4)}

        async def racks(name: str, count: int, **constraints: str) -> Counter[str]:
            key = await scheduled.create(job_of(name, instances=count, constraints=constraints))
            found = Counter(rack_of[t.assigned_task.slave_host] for t in await scheduled.running(key, count))
            await scheduled.kill(key)
            return found

        assert await racks("limited", 2, rack="limit:1") == {"a": 1, "b": 1}
        assert await racks("chosen", 3, rack="b") == {"b": 3}
        assert await racks("avoiding", 3, rack="!b") == {"a": 3}
        assert await racks("both", 2, rack="a", host="limit:1") == {"a": 2}

        # one too many: it waits, and says why; room for it is made by another one's end
        key = await scheduled.create(job_of("crowded", instances=3, constraints={"rack": "limit:1"}))

        def waits() -> bool:
            pending = [task for task in scheduled.active(key) if task.status is ScheduleStatus.PENDING]
            standing = scheduled.scheduler.engine.waiting(pending[0].id) if len(pending) == 1 else None
            return standing is not None and standing.reason == "Limit not satisfied: rack"

        await scheduled.until(waits, "reason")  # another one is that no offer has come back yet

        def runs() -> list[ScheduledTask]:
            found = [task for task in scheduled.active(key) if task.status is ScheduleStatus.RUNNING]
            return found if len(found) == 2 else []

        placed, _ = await scheduled.until(runs, "the others running")
        await scheduled.kill(key, [placed.assigned_task.instance_id])
        found = await scheduled.running(key, 2)
        assert {rack_of[task.assigned_task.slave_host] for task in found} == {"a", "b"}
        await scheduled.forget()
