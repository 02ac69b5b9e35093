"""What roles hold: §6's three kinds of jobs, in four pools."""

from __future__ import annotations

from msgspec import structs

from scheduler.core.consumption import ConsumptionPool, JobUse, consumption, of_job, pool_of
from scheduler.core.model import DEDICATED, JobConfiguration, TaskConfig
from scheduler.core.resources import NOTHING, Amount
from scheduler.core.update_model import InstanceRange, InstanceTaskConfig, JobUpdateInstructions, JobUpdateSettings
from tests.scheduler.core.making import JOB, config, value

P = ConsumptionPool


def is_production(asked: TaskConfig) -> bool:
    return asked.tier == "preferred"


def amount(cpus: int, ram: int, disk: int, ports: int = 0) -> Amount:
    return Amount(milli_cpus=cpus * 1000, ram_mb=ram, disk_mb=disk, ports=ports)


SMALL = config(cpus=1.0, ram=10, disk=100, tier="preferred")
WIDE = config(cpus=3.0, ram=5, disk=100, tier="preferred")


def group(wanted: TaskConfig, first: int, last: int) -> InstanceTaskConfig:
    return InstanceTaskConfig(task=wanted, instances=(InstanceRange(first=first, last=last),))


def update(*before: InstanceTaskConfig, after: InstanceTaskConfig | None = None) -> JobUpdateInstructions:
    return JobUpdateInstructions(settings=JobUpdateSettings(), initial_state=before, desired_state=after)


def test_four_pools() -> None:
    dedicated = value(DEDICATED, "www/x")
    kinds = [
        config(tier="preferred"), config(dedicated, tier="preferred"),
        config(tier="preemptible"), config(dedicated, tier="revocable"),
    ]  # fmt: skip
    assert [pool_of(each, is_production) for each in kinds] == [
        P.PROD_SHARED, P.PROD_DEDICATED, P.NON_PROD_SHARED, P.NON_PROD_DEDICATED,
    ]  # fmt: skip
    uses = [JobUse({0: each, 1: each}) for each in kinds]
    assert consumption(uses, is_production) == dict.fromkeys(P, amount(2, 256, 128))
    assert consumption([], is_production) == dict.fromkeys(P, NOTHING)


def test_a_plain_job_is_the_sum_of_its_active_tasks() -> None:
    use = JobUse({0: SMALL, 1: SMALL, 5: WIDE})
    assert of_job(use, is_production) == {P.PROD_SHARED: amount(5, 25, 300)}


def test_an_update_counts_the_greater_of_before_and_after_for_each_resource() -> None:
    growing = JobUse({0: SMALL, 1: SMALL, 2: SMALL}, update(group(SMALL, 0, 1), after=group(WIDE, 0, 1)))
    assert of_job(growing, is_production) == {P.PROD_SHARED: amount(1 + 6, 10 + 20, 100 + 200)}
    # the tasks that are there at the moment make no difference for the instances of the update
    half = JobUse({0: WIDE, 2: SMALL}, growing.update)
    assert of_job(half, is_production) == of_job(growing, is_production)


def test_an_update_that_only_removes_or_only_adds() -> None:
    removing = JobUse({0: SMALL, 1: SMALL}, update(group(SMALL, 1, 1)))
    assert of_job(removing, is_production) == {P.PROD_SHARED: amount(2, 20, 200)}
    adding = JobUse({0: SMALL}, update(after=group(SMALL, 1, 3)))
    assert of_job(adding, is_production) == {P.PROD_SHARED: amount(4, 40, 400)}


def test_an_update_may_lead_from_one_pool_to_another() -> None:
    cheap = structs.replace(SMALL, tier="preemptible")
    use = JobUse({0: SMALL}, update(group(SMALL, 0, 0), after=group(cheap, 0, 0)))
    assert of_job(use, is_production) == {P.PROD_SHARED: amount(1, 10, 100), P.NON_PROD_SHARED: amount(1, 10, 100)}


def test_a_template_counts_whether_it_runs_or_not() -> None:
    template = JobConfiguration(key=JOB, task_config=SMALL, cron_schedule="* * * * *", instance_count=2)
    idle = JobUse(template=template)
    assert of_job(idle, is_production) == {P.PROD_SHARED: amount(2, 20, 200)}
    running = JobUse({0: WIDE}, template=template)
    assert of_job(running, is_production) == {P.PROD_SHARED: amount(3, 20, 200)}


def test_ports_are_no_part_of_quota_but_do_not_confuse_it() -> None:
    assert of_job(JobUse({0: config(ports=("a",))}), is_production) == {P.NON_PROD_SHARED: amount(1, 128, 64, ports=1)}
