"""A task that was given a host, as Mesos wants to be told of it: the TaskInfo, the operation, and the accept's pieces.

    TaskInfo       name: the job's key · labels: tier, metadata, source · data: the AssignedTask as JSON
    ├─ executor    id: prefix + task id · command and its files, plus the files of the task · resources of its own
    │  └─ container   a Mesos container, an image as a volume at `taskfs`, or Docker
    └─ command     instead of an executor, for a Docker container without one

Source: spec/scheduler.md §3.7, §1.1.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs

from mesos.core.messages import (
    AgentID,
    CommandInfo,
    CommandURI,
    DiscoveryInfo,
    ExecutorID,
    ExecutorInfo,
    Label,
    Labels,
    Launch,
    Opaque,
    Operation,
    OperationType,
    Port,
    Ports,
    TaskID,
    TaskInfo,
)
from scheduler.core.allocate import Allocation
from scheduler.core.executors import ExecutorSettings, LaunchSettings
from scheduler.core.model import AssignedTask, DockerContainer, Image, MesosContainer, TaskConfig, Volume

TIER_LABEL = "org.apache.aurora.tier"
METADATA_LABEL = "org.apache.aurora.metadata."
SOURCE_LABEL = "source"

#: Where Mesos puts the root file system of an image, in the sandbox of the executor.
IMAGE_ROOT = "taskfs"


def task_info(assigned: AssignedTask, allocation: Allocation, settings: LaunchSettings) -> TaskInfo:
    """`assigned` has its agent and its ports already (`Assignment.fill`)."""
    config = assigned.task
    executor = settings.executor_of(config)
    info = TaskInfo(
        name=str(config.job),
        task_id=TaskID(value=assigned.task_id),
        agent_id=AgentID(value=assigned.slave_id),
        resources=allocation.task,
        data=msgspec.json.encode(assigned),
        labels=_labels(assigned, settings),
        discovery=_discovery(assigned, settings) if settings.populate_discovery_info else None,
    )
    if executor is None:
        command = CommandInfo(shell=False, uris=_fetched(config))
        return structs.replace(info, command=command, container=_container(config, settings.global_mounts))
    return structs.replace(info, executor=_executor(assigned, allocation, executor, settings))


def launch(infos: Iterable[TaskInfo]) -> Operation:
    """Of tasks on one offer."""
    return Operation(type=OperationType.LAUNCH, launch=Launch(task_infos=tuple(infos)))


def source_of(assigned: AssignedTask) -> str:
    job = assigned.task.job
    return f"{job.role}.{job.environment}.{job.name}.{assigned.instance_id}"


def _labels(assigned: AssignedTask, settings: LaunchSettings) -> Labels:
    config = assigned.task
    labels = [Label(key=TIER_LABEL, value=settings.tiers.of(config.tier).name)]
    labels += [Label(key=METADATA_LABEL + each.key, value=each.value) for each in config.metadata]
    labels.append(Label(key=SOURCE_LABEL, value=source_of(assigned)))
    return Labels(labels=tuple(labels))


def _discovery(assigned: AssignedTask, settings: LaunchSettings) -> DiscoveryInfo:
    job = assigned.task.job
    ports = tuple(
        Port(number=number, name=name, protocol="TCP") for name, number in sorted(assigned.assigned_ports.items())
    )
    return DiscoveryInfo(
        visibility="CLUSTER",
        name=f"{job.name}.{job.environment}.{job.role}",
        environment=job.environment,
        location=settings.cluster,
        ports=Ports(ports=ports),
    )


def _executor(
    assigned: AssignedTask, allocation: Allocation, executor: ExecutorSettings, settings: LaunchSettings
) -> ExecutorInfo:
    config = assigned.task
    source = source_of(assigned)
    command = structs.replace(executor.command, uris=(*executor.command.uris, *_fetched(config)))
    mounts = executor.mounts
    if config.container.docker is not None:
        mounts = (*mounts, *settings.global_mounts)
    return ExecutorInfo(
        executor_id=ExecutorID(value=executor.prefix + assigned.task_id),
        name=executor.name,
        source=source,
        command=command,
        container=_container(config, mounts),
        resources=allocation.executor,
        labels=Labels(labels=(Label(key=SOURCE_LABEL, value=source),)),
    )


def _fetched(config: TaskConfig) -> tuple[CommandURI, ...]:
    """Files that Mesos fetches into the sandbox; they are never made executable."""
    return tuple(
        CommandURI(
            value=uri.value,
            extract=uri.extract if uri.extract is not None else True,
            cache=uri.cache if uri.cache is not None else False,
            output_file=uri.output_file or "",
        )
        for uri in config.mesos_fetcher_uris
    )


# --- containers --------------------------------------------------------------------------------------------------


def _container(config: TaskConfig, mounts: tuple[Volume, ...]) -> Opaque | None:
    """None: a Mesos container with nothing special about it."""
    if config.container.docker is not None:
        return _docker(config.container.docker, mounts)
    return _mesos(config.container.mesos or MesosContainer(), mounts)


def _docker(docker: DockerContainer, mounts: tuple[Volume, ...]) -> Opaque:
    info: Opaque = {"image": docker.image}
    if docker.parameters:
        info["parameters"] = [{"key": each.name, "value": each.value} for each in docker.parameters]
    return {"type": "DOCKER", "docker": info, "volumes": [_volume(each) for each in mounts]}


def _mesos(container: MesosContainer, mounts: tuple[Volume, ...]) -> Opaque | None:
    """The image is no root of the executor: it is a volume, and the executor confines the task to it."""
    volumes = [_volume(each) for each in (*container.volumes, *mounts)]
    if container.image is not None:
        volumes.insert(0, {"container_path": IMAGE_ROOT, "mode": "RO", "image": _image(container.image)})
    if not volumes:
        return None
    return {"type": "MESOS", "volumes": volumes}


def _image(image: Image) -> Opaque:
    if image.appc is not None:
        return {"type": "APPC", "appc": {"name": image.appc.name, "id": image.appc.image_id}}
    name = f"{image.docker.name}:{image.docker.tag}" if image.docker is not None else ""
    return {"type": "DOCKER", "docker": {"name": name}}


def _volume(volume: Volume) -> Opaque:
    return {"container_path": volume.container_path, "host_path": volume.host_path, "mode": volume.mode}
