"""Tiers: names for how a task may be treated when room is short.

A file names them: `{"default": NAME, "tiers": {NAME: {"preemptible": BOOL, "revocable": BOOL}}}`, booleans also as
text, as the original wrote them. Without a file there are the original's three.

Source: spec/scheduler.md §1.9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from thermos.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Tier:
    """`preemptible`: it gives way to tasks that are not. `revocable`: it runs on what others have, but do not use."""

    name: str
    preemptible: bool
    revocable: bool

    @property
    def is_production(self) -> bool:
        """What the deprecated field `production` says."""
        return not self.preemptible and not self.revocable


@dataclass(frozen=True, slots=True)
class Tiers:
    default: str
    by_name: Mapping[str, Tier]

    def named(self, name: str | None) -> Tier | None:
        """None as a name is the default; None as the answer: there is no such tier."""
        return self.by_name.get(self.default if name is None else name)

    def of(self, name: str | None) -> Tier:
        """For tasks that were accepted once: a tier that is gone from the file since then counts as the default."""
        return self.named(name) or self.by_name[self.default]


class _TierFields(msgspec.Struct, forbid_unknown_fields=True):
    preemptible: bool
    revocable: bool


class _TierFile(msgspec.Struct, forbid_unknown_fields=True):
    default: str
    tiers: dict[str, _TierFields]


BUILT_IN = Tiers(
    "preemptible",
    {
        tier.name: tier
        for tier in (
            Tier("preferred", preemptible=False, revocable=False),
            Tier("preemptible", preemptible=True, revocable=False),
            Tier("revocable", preemptible=True, revocable=True),
        )
    },
)


def parse_tiers(value: Any) -> Tiers:
    """Of plain JSON data. Raises ConfigError."""
    try:
        parsed = msgspec.convert(value, _TierFile, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"cannot use the tiers: {error}") from None
    if parsed.default not in parsed.tiers:
        known = ", ".join(sorted(parsed.tiers)) or "none"
        raise ConfigError(f"cannot use the tiers: the default {parsed.default!r} is none of them ({known})")
    by_name = {name: Tier(name, fields.preemptible, fields.revocable) for name, fields in parsed.tiers.items()}
    return Tiers(parsed.default, by_name)
