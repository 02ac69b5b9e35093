"""Offer constraints: a framework says which attributes an agent must have to be offered to it, role by role.

`role_constraints: {role: {groups: [{attribute_constraints: [{selector, predicate}]}]}}`: one group must hold, and a
group holds when all its constraints do. What is not a text can't be judged by a text predicate and passes it; what is
missing passes only `not_exists` and the negated ones. As Mesos 1.11 does it, texts of errors included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mesos.core.messages import Attribute, DomainInfo, Opaque, Text, ValueType

#: What is judged: hostname, region and zone, attributes.
Subject = tuple[str, DomainInfo | None, Sequence[Attribute]]
Predicate = Callable[[Subject], bool]

_EXISTENCE = {"exists": True, "not_exists": False}
_TEXT = {
    "text_equals": False, "text_not_equals": True, "text_matches": False, "text_not_matches": True,
}  # fmt: skip
_MAX_PATTERN = 4096


class BadConstraint(ValueError):
    """In Mesos' words."""


class OfferConstraints:
    """Of one framework, read once and asked for each agent. `source` is what it was read from."""

    def __init__(self, source: Opaque | None) -> None:
        self.source = source
        self._roles: dict[str, list[list[Predicate]]] = {}
        for role, wanted in ((source or {}).get("role_constraints") or {}).items():
            self._roles[role] = _groups(role, wanted)

    def excludes(self, role: str, subject: Subject) -> bool:
        groups = self._roles.get(role)
        return groups is not None and not any(all(holds(subject) for holds in group) for group in groups)

    def __bool__(self) -> bool:
        return bool(self._roles)


NO_CONSTRAINTS = OfferConstraints(None)


def _groups(role: str, wanted: Mapping[str, Any]) -> list[list[Predicate]]:
    groups = wanted.get("groups") or []
    if not groups:
        raise BadConstraint(
            f"'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
        )
    return [_group(role, group) for group in groups]


def _group(role: str, group: Mapping[str, Any]) -> list[Predicate]:
    constraints = group.get("attribute_constraints") or []
    if not constraints:  # Mesos forgot the blank, too
        raise BadConstraint(
            f"'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty RoleConstraints::Group"
        )
    try:
        return [_predicate(constraint) for constraint in constraints]
    except BadConstraint as error:
        raise BadConstraint(f"A role {role} has an invalid 'AttributeConstraint': {error}") from None


def _predicate(constraint: Mapping[str, Any]) -> Predicate:
    select = _selector(constraint.get("selector") or {})
    predicate = constraint.get("predicate") or {}
    for name, present in _EXISTENCE.items():
        if name in predicate:
            return lambda subject: bool(select(subject)) is present
    for name, negated in _TEXT.items():
        if name in predicate:
            return _text_predicate(select, _judge(name, predicate[name] or {}), negated)
    raise BadConstraint("Unknown predicate type")


def _judge(name: str, operand: Mapping[str, Any]) -> Callable[[str], bool]:
    if "matches" not in name:
        value = operand.get("value", "")
        return lambda text: text == value
    pattern = operand.get("regex", "")
    if len(pattern) > _MAX_PATTERN:
        raise BadConstraint(f"Failed to construct regex from pattern '{pattern[:40]}…': it is too long")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise BadConstraint(f"Failed to construct regex from pattern '{pattern}': {error}") from None
    return lambda text: expression.fullmatch(text) is not None


def _text_predicate(
    select: Callable[[Subject], list[Attribute]], judge: Callable[[str], bool], negated: bool
) -> Predicate:
    def holds(subject: Subject) -> bool:
        found = select(subject)
        if not found:
            return negated
        return any(a.text is None or judge(a.text.value) is not negated for a in found)

    return holds


def _selector(selector: Mapping[str, Any]) -> Callable[[Subject], list[Attribute]]:
    """The attributes that are meant; hostname, region and zone are seen as a text attribute."""
    if "attribute_name" in selector:
        name = selector["attribute_name"]
        return lambda subject: [attribute for attribute in subject[2] if attribute.name == name]
    kind = selector.get("pseudoattribute_type")
    if kind == "HOSTNAME":
        return lambda subject: [_text(subject[0])]
    if kind in ("REGION", "ZONE"):
        return lambda subject: _domain_part(subject[1], kind)
    raise BadConstraint(
        "Exactly one of 'AttributeConstraint::Selector::attribute_name' or 'pseudoattribute_type' must be set"
    )


def _domain_part(domain: DomainInfo | None, kind: str) -> list[Attribute]:
    if domain is None or domain.fault_domain is None:
        return []
    place = domain.fault_domain
    return [_text(place.region.name if kind == "REGION" else place.zone.name)]


def _text(value: str) -> Attribute:
    return Attribute(name="", type=ValueType.TEXT, text=Text(value=value))
