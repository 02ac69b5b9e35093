"""A job as schedulers know it: plain JSON, field names as on the wire, enums as strings, sets as sorted lists.

`executorConfig.data` holds the interpolated job without `update_config` and `instances`, so that changing only those
is no change of the task. What has to be equal for equal jobs (the scheduler compares configs) is built in a fixed
order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from config.core.constraints import LimitConstraint, parse_constraint
from config.core.finding import Plain
from config.core.job_rules import DEFAULT_EXECUTOR
from config.core.port_rules import job_ports
from config.core.refs import escape_literals
from config.core.task_rules import to_mb
from config.core.updates import update_settings

#: Fields of a job that don't belong to what an instance runs.
NOT_IN_PAYLOAD = ("update_config", "instances")


def job_configuration(job: Plain, *, user: str) -> dict[str, Any]:
    """JobConfiguration of a checked, resolved job; `user` is who asks for it (kept for audits only)."""
    return {
        "key": job_key(job),
        "owner": {"user": user},
        "cronSchedule": job.get("cron_schedule"),
        "cronCollisionPolicy": job["cron_collision_policy"].upper(),
        "taskConfig": task_config(job, user=user),
        "instanceCount": job["instances"],
    }


def update_request(
    job: Plain, *, user: str, only_instances: Iterable[int] = (), metadata: Iterable[tuple[str, str]] = ()
) -> dict[str, Any]:
    """JobUpdateRequest: the job's config, size and how to get there."""
    return {
        "taskConfig": task_config(job, user=user),
        "instanceCount": job["instances"],
        "settings": update_settings(job["update_config"], only_instances),
        "metadata": pairs(metadata),
    }


def job_key(job: Plain) -> dict[str, str]:
    return {field: job[field] for field in ("role", "environment", "name")}


def task_config(job: Plain, *, user: str) -> dict[str, Any]:
    """TaskConfig of a checked, resolved job: all that makes two instances the same."""
    config: dict[str, Any] = {
        "job": job_key(job),
        "owner": {"user": user},
        "isService": job["service"],
        "priority": job["priority"],
        "maxTaskFailures": job["max_task_failures"],
        "production": job["production"],
        "tier": job.get("tier"),
        "resources": resources(job),
        "constraints": constraints(job.get("constraints") or {}),
        "mesosFetcherUris": [],
        "taskLinks": {},
        "contactEmail": job.get("contact"),
        "executorConfig": executor_config(job),
        "metadata": pairs((entry["key"], entry["value"]) for entry in job["metadata"]),
        "container": container(job.get("container")),
    }
    if job.get("partition_policy") is not None:
        policy = job["partition_policy"]
        config["partitionPolicy"] = {"reschedule": policy["reschedule"], "delaySecs": policy["delay_secs"]}
    if job.get("sla_policy") is not None:
        config["slaPolicy"] = sla_policy(job["sla_policy"])
    return config


def resources(job: Plain) -> list[dict[str, Any]]:
    """cpus, ram and disk in whole MB, gpus if any, then the ports by name."""
    wanted = job["task"]["resources"]
    found: list[dict[str, Any]] = [
        {"numCpus": float(wanted["cpu"])},
        {"ramMb": to_mb(wanted["ram"])},
        {"diskMb": to_mb(wanted["disk"])},
    ]
    if wanted.get("gpu"):
        found.append({"numGpus": wanted["gpu"]})
    return found + [{"namedPort": name} for name in job_ports(job)]


def constraints(written: Mapping[str, str]) -> list[dict[str, Any]]:
    """Constraints by attribute name."""
    found = []
    for name, text in sorted(written.items()):
        constraint = parse_constraint(text)
        if isinstance(constraint, LimitConstraint):
            union: dict[str, Any] = {"limit": {"limit": constraint.limit}}
        else:
            union = {"value": {"negated": constraint.negated, "values": sorted(constraint.values)}}
        found.append({"name": name, "constraint": union})
    return found


def pairs(entries: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """A set of key-value pairs: equal pairs once, one key with several values kept."""
    return [{"key": key, "value": value} for key, value in sorted(set(entries))]


def container(given: Plain | None) -> dict[str, Any]:
    """The container union; no container is a Mesos container without image."""
    if given is None:
        return {"mesos": {"volumes": []}}
    docker = given.get("docker", given if "parameters" in given else None)
    if docker is not None:
        parameters = [{"name": p["name"], "value": p["value"]} for p in docker["parameters"]]
        return {"docker": {"image": docker["image"], "parameters": parameters}}
    mesos: dict[str, Any] = {}
    if given.get("image") is not None:
        mesos["image"] = _image(given["image"])
    mesos["volumes"] = [
        {"containerPath": v["container_path"], "hostPath": v["host_path"], "mode": v["mode"]} for v in given["volumes"]
    ]
    return {"mesos": mesos}


def _image(image: Plain) -> dict[str, Any]:
    if "image_id" in image:
        return {"appc": {"name": image["name"], "imageId": image["image_id"]}}
    return {"docker": {"name": image["name"], "tag": image["tag"]}}


def sla_policy(policy: Plain) -> dict[str, Any]:
    """The slaPolicy union."""
    if "percentage" in policy:
        bound = {"percentage": float(policy["percentage"]), "durationSecs": policy["duration_secs"]}
        return {"percentageSlaPolicy": bound}
    if "count" in policy:
        return {"countSlaPolicy": {"count": policy["count"], "durationSecs": policy["duration_secs"]}}
    return {"coordinatorSlaPolicy": {"coordinatorUrl": policy["coordinator_url"], "statusKey": policy["status_key"]}}


def executor_config(job: Plain) -> dict[str, str]:
    """Name and payload of the executor: the job itself for ours, verbatim what was given for another."""
    given = job["executor_config"]
    if given["name"] != DEFAULT_EXECUTOR:
        return {"name": given["name"], "data": given["data"]}
    return {"name": DEFAULT_EXECUTOR, "data": payload(job)}


def payload(job: Plain) -> str:
    """The interpolated job as JSON text without what the instances don't share; equal jobs give equal texts."""
    kept = {field: escape_literals(value) for field, value in job.items() if field not in NOT_IN_PAYLOAD}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def assigned_task(
    config: Plain, *, task_id: str, instance: int, agent_id: str, hostname: str, ports: Mapping[str, int]
) -> dict[str, Any]:
    """AssignedTask: what an executor is launched with (TaskInfo.data)."""
    return {
        "taskId": task_id,
        "slaveId": agent_id,
        "slaveHost": hostname,
        "task": dict(config),
        "assignedPorts": dict(sorted(ports.items())),
        "instanceId": instance,
    }
