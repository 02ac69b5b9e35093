"""A configuration as people read it: facts, whole as JSON, and the difference of two."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from scheduler.core.model import Constraint, Container, PartitionPolicy, SlaPolicy, TaskConfig
from scheduler.core.resources import MILLI, amount_of
from web.core.svg import clip

#: Lines of a difference, and letters of a line; what is longer is cut.
MOST_LINES, LONGEST_LINE = 3_000, 2_000

#: Letters of one fact; the whole is in the text.
LONGEST_FACT = 500

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DiffLine:
    """`kind`: same, gone, come, or skip (for lines that are left out)."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Resources:
    """As far as they are asked for; sizes in bytes."""

    cpus: float
    ram: int
    disk: int
    gpus: int
    ports: tuple[str, ...]


def resources_of(config: TaskConfig) -> Resources:
    amount = amount_of(config.resources)
    ports = tuple(sorted(each.named_port for each in config.resources if each.named_port is not None))
    return Resources(amount.milli_cpus / MILLI, amount.ram_mb * _MIB, amount.disk_mb * _MIB, amount.gpus, ports)


def facts_of(config: TaskConfig) -> list[tuple[str, str]]:
    """What is said besides resources, as (name, words); what is as usual is left out."""
    found = [
        ("Constraints", ", ".join(constraint_words(each) for each in config.constraints)),
        ("Priority", str(config.priority) if config.priority else ""),
        ("Failures allowed", "any" if config.max_task_failures < 0 else str(config.max_task_failures)),
        ("Container", container_words(config.container)),
        ("Partition policy", partition_words(config.partition_policy)),
        ("SLA policy", sla_words(config.sla_policy)),
        ("Contact", config.contact_email or ""),
        ("Metadata", ", ".join(f"{each.key}: {each.value}" for each in config.metadata)),
        ("Fetched", ", ".join(each.value for each in config.mesos_fetcher_uris)),
        ("Executor", config.executor_config.name if config.executor_config is not None else ""),
    ]
    return [(name, clip(words, LONGEST_FACT)) for name, words in found if words]


def constraint_words(constraint: Constraint) -> str:
    """As it is written in a config file."""
    value, limit = constraint.constraint.value, constraint.constraint.limit
    if limit is not None:
        return f"{constraint.name} = limit:{limit.limit}"
    if value is None:
        return constraint.name
    return f"{constraint.name} = {'!' if value.negated else ''}{','.join(value.values)}"


def container_words(container: Container) -> str:
    if container.docker is not None:
        return f"docker {container.docker.image}"
    image = container.mesos.image if container.mesos is not None else None
    if image is None:
        return ""
    if image.docker is not None:
        return f"{image.docker.name}:{image.docker.tag}"
    return f"appc {image.appc.name} {image.appc.image_id}" if image.appc is not None else ""


def partition_words(policy: PartitionPolicy | None) -> str:
    if policy is None:
        return ""
    return f"replaced after {policy.delay_secs} s" if policy.reschedule else "waited for"


def sla_words(policy: SlaPolicy | None) -> str:
    if policy is None:
        return ""
    if policy.percentage_sla_policy is not None:
        found = policy.percentage_sla_policy
        return f"{found.percentage:g} % up for {found.duration_secs} s"
    if policy.count_sla_policy is not None:
        return f"{policy.count_sla_policy.count} up for {policy.count_sla_policy.duration_secs} s"
    return f"asks {policy.coordinator_sla_policy.coordinator_url}" if policy.coordinator_sla_policy is not None else ""


def config_text(config: TaskConfig) -> str:
    """Whole, as JSON; what the executor is told stands in it as what it is, not as a text in a text."""
    plain = msgspec.to_builtins(config)
    executor = plain.get("executorConfig")
    if executor is not None and executor.get("data"):
        executor["data"] = _parsed(executor["data"])
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False)


def _parsed(text: str) -> Any:
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return found


def diff_lines(before: str, after: str) -> list[DiffLine]:
    """Both with some lines around each change; nothing, if there is no change."""
    old, new = before.split("\n"), after.split("\n")
    found = [_diff_line(line) for line in difflib.unified_diff(old, new, lineterm="", n=3)][2:]
    if len(found) > MOST_LINES:
        return [*found[:MOST_LINES], DiffLine("skip", f"{len(found) - MOST_LINES} more lines")]
    return found


def _diff_line(line: str) -> DiffLine:
    if line.startswith("@@"):
        return DiffLine("skip", line)
    kind = {"-": "gone", "+": "come"}.get(line[:1], "same")
    return DiffLine(kind, clip(line, LONGEST_LINE))


def ranges_words(ranges: Iterable[tuple[int, int]]) -> str:
    """`0-3, 7`."""
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
