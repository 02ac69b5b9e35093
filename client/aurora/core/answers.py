"""What commands read of the API's answers. Fields that nobody here knows are left alone, missing ones are as if empty;
what is of another kind than it should be is not understood, and said so.

`-o json` prints answers as they came; these are for everything else.

Source: spec/scheduler.md §1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from thermos.errors import RemoteError
from thermos.words import printable

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=2**53)]
#: Milliseconds since 1970, up to the year 9999.
MomentMs = Annotated[int, msgspec.Meta(ge=0, le=250_000_000_000_000)]


def parse(document: object, kind: type[T]) -> T:
    """Raises RemoteError: that is no such answer."""
    try:
        return msgspec.convert(document, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise RemoteError(f"the scheduler's answer is not understood: {error}") from error


def one_line(text: str) -> str:
    """What others wrote, as one line that is harmless for a terminal."""
    return printable(" ".join(text.split()))


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    """Base of them."""


class Key(Answer, frozen=True):
    role: str
    environment: str
    name: str


class Summary(Answer, frozen=True):
    """Of a job."""

    key: Key


class Instances(Answer, frozen=True):
    """Those that were created, added, killed or restarted; None: it does not say."""

    instances: list[Count] | None = None


class WhyChange(Answer, frozen=True):
    host: str = ""
    change: str = ""


class WhyHost(Answer, frozen=True):
    host: str = ""
    fits: bool = False
    reasons: list[str] = []
    change: str = ""


class Why(Answer, frozen=True):
    status: str = ""
    since: MomentMs = 0
    reason: str = ""
    attempts: Count = 0
    next_attempt_s: Amount | None = None
    host_count: Count = 0
    by_reason: dict[str, Count] = {}
    smallest: WhyChange | None = None
    smallest_of_task: WhyChange | None = None
    hosts: list[WhyHost] = []


class Pool(Answer, frozen=True):
    """An amount of resources."""

    cpus: Amount = 0.0
    ram_mb: Amount = 0.0
    disk_mb: Amount = 0.0


class Quota(Answer, frozen=True):
    quota: Pool = Pool()
    prod_shared: Pool = Pool()
    prod_dedicated: Pool = Pool()
    non_prod_shared: Pool = Pool()
    non_prod_dedicated: Pool = Pool()


class ConfigGroup(Answer, frozen=True):
    """`instances`: (first, last) of each range."""

    config: dict[str, Any] = {}
    instances: list[tuple[Count, Count]] = []


class JobDiff(Answer, frozen=True):
    add: list[ConfigGroup] = []
    remove: list[ConfigGroup] = []
    update: list[ConfigGroup] = []
    unchanged: list[ConfigGroup] = []


class JobConfigs(Answer, frozen=True):
    configs: list[ConfigGroup] = []


class PopulatedJob(Answer, frozen=True):
    task_config: dict[str, Any]


class Populated(Answer, frozen=True):
    job: PopulatedJob


class Tier(Answer, frozen=True):
    preemptible: bool | None = None
    revocable: bool | None = None


class Tiers(Answer, frozen=True):
    tiers: dict[str, Tier] = {}


class Reasons(Answer, frozen=True):
    """Of a page of tasks: why some of them wait, by id."""

    reasons: dict[str, str] = {}


def reasons_of(page: Mapping[str, Any]) -> dict[str, str]:
    return parse({"reasons": page.get("reasons") or {}}, Reasons).reasons
