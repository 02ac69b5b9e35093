"""Keys of jobs as people write them: `CLUSTER/ROLE/ENV/NAME`, with instances behind, or the beginning of it with globs.

Pure. What is written wrongly is a UserError that names it and says how it is written.

Source: spec/scheduler.md §1.1, §11.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from thermos.errors import UserError

FORM = "CLUSTER/ROLE/ENV/NAME"

_PART = re.compile(r"[A-Za-z0-9_\-.]+")
_GLOB = re.compile(r"[A-Za-z0-9_\-.*?\[\]!]+")
_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")
#: No job has more instances; a range that is longer is a slip.
_MOST_INSTANCES = 100_000


@dataclass(frozen=True, order=True)
class ClusterJobKey:
    cluster: str
    role: str
    environment: str
    name: str

    @property
    def path(self) -> str:
        """The key as the scheduler knows it."""
        return f"{self.role}/{self.environment}/{self.name}"

    def __str__(self) -> str:
        return f"{self.cluster}/{self.path}"


class Chosen(NamedTuple):
    """A job and some of its instances; None: all."""

    job: ClusterJobKey
    instances: tuple[int, ...] | None


@dataclass(frozen=True)
class PartialKey:
    """The beginning of a key; each part but the cluster may be a glob, "" is anything."""

    cluster: str
    role: str = ""
    environment: str = ""
    name: str = ""

    @property
    def exact(self) -> ClusterJobKey | None:
        """The one job that is meant, if it is one."""
        parts = (self.cluster, self.role, self.environment, self.name)
        return ClusterJobKey(*parts) if all(_PART.fullmatch(part) for part in parts) else None

    def __str__(self) -> str:
        parts = [self.cluster, self.role, self.environment, self.name]
        while not parts[-1]:
            parts.pop()
        return "/".join(parts)


def parse_job_key(text: str) -> ClusterJobKey:
    """Raises UserError."""
    parts = text.split("/")
    if len(parts) != 4:
        raise UserError(f"bad job key {text!r}: write {FORM}{_why_not_four(parts)}")
    _check_parts(text, parts, _PART)
    return ClusterJobKey(*parts)


def _why_not_four(parts: list[str]) -> str:
    if len(parts) == 5:
        return ", without instances"
    if len(parts) == 3:
        return "; the cluster is missing"
    return ""


def parse_chosen(text: str) -> Chosen:
    """`CLUSTER/ROLE/ENV/NAME[/INSTANCES]`. Raises UserError."""
    parts = text.split("/")
    if len(parts) not in (4, 5):
        raise UserError(f"bad job key {text!r}: write {FORM}[/INSTANCES], e.g. rz1/www/prod/web/0-2,5")
    _check_parts(text, parts[:4], _PART)
    return Chosen(ClusterJobKey(*parts[:4]), parse_instances(parts[4]) if len(parts) == 5 else None)


def parse_one_instance(text: str) -> tuple[ClusterJobKey, int]:
    """`CLUSTER/ROLE/ENV/NAME/INSTANCE`. Raises UserError."""
    job, instances = parse_chosen(text)
    if instances is None or len(instances) != 1:
        raise UserError(f"bad instance {text!r}: write {FORM}/INSTANCE, e.g. rz1/www/prod/web/0")
    return job, instances[0]


def parse_partial(text: str) -> PartialKey:
    """`CLUSTER[/ROLE[/ENV[/NAME]]]`. Raises UserError."""
    parts = text.split("/")
    if len(parts) > 4:
        raise UserError(f"bad key {text!r}: write CLUSTER[/ROLE[/ENV[/NAME]]]; parts may be globs")
    _check_parts(text, parts[:1], _PART)
    _check_parts(text, parts[1:], _GLOB)
    return PartialKey(*parts)


def _check_parts(text: str, parts: Iterable[str], allowed: re.Pattern[str]) -> None:
    for part in parts:
        if not allowed.fullmatch(part):
            what = f"{part!r} is no name" if part else "a part is empty"
            raise UserError(f"bad key {text!r}: {what}; names have letters, digits, `_`, `-` and `.`")


def parse_instances(text: str) -> tuple[int, ...]:
    """`0-2,5,7-9`, sorted and each once. Raises UserError."""
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise UserError(f"bad instances {text!r}: write numbers and ranges, e.g. 0-2,5,7-9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"bad instances {text!r}: {part.strip()} ends before it begins")
        if last - first >= _MOST_INSTANCES:
            raise UserError(f"bad instances {text!r}: {part.strip()} are too many")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def instance_ranges(instances: Iterable[int]) -> str:
    """`0-2,5`, what `parse_instances` reads."""
    spans: list[list[int]] = []
    for number in sorted(instances):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)
