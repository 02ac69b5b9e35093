"""Offer constraints: a framework says which attributes an agent must have to be offered to it, role by role.

`role_constraints: {role: {groups: [{attribute_constraints: [{selector, predicate}]}]}}`: one group must hold, and a
group holds when all its constraints do. What is not a text can't be judged by a text predicate and passes it; what is
missing passes only `not_exists` and the negated ones. As Mesos 1.11 does it, texts of errors included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mesos.core.messages import Attribute, DomainInfo, Message, Opaque, Text, ValueType
from mesos.local.core.json_words import explain

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


class _Constraint(Message, frozen=True):
    selector: dict[str, Any]
    predicate: dict[str, Any]


class _Group(Message, frozen=True):
    attribute_constraints: tuple[_Constraint, ...] = ()


class _Role(Message, frozen=True):
    groups: tuple[_Group, ...] = ()


class _Shape(Message, frozen=True):
    role_constraints: dict[str, _Role] = {}


def problem_of_shape(source: Opaque | None) -> str | None:
    """Why these are no constraints at all, as Mesos' conversion from JSON says it."""
    try:
        msgspec.convert(source or {}, _Shape)
    except msgspec.ValidationError as error:
        missing = _missing_field(source) if "missing required field" in str(error) else None
        return missing or explain(error)
    return None


def _missing_field(source: Any) -> str | None:
    """The path of the first required field that is not there; None where something else is wrong."""
    try:
        for r, wanted in enumerate((source["role_constraints"]).values()):
            for g, group in enumerate(wanted.get("groups") or []):
                for c, constraint in enumerate(group.get("attribute_constraints") or []):
                    for name in ("selector", "predicate"):
                        if name not in constraint:
                            path = f"offer_constraints.role_constraints[{r}].value.groups[{g}]"
                            return f"Missing required fields: {path}.attribute_constraints[{c}].{name}"
    except (AttributeError, TypeError, KeyError):
        return None
    return None


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
    if not isinstance(operand, Mapping):
        raise BadConstraint("Unknown predicate type")
    if "matches" not in name:
        value = operand.get("value", "")
        return lambda text: text == value
    pattern = operand.get("regex", "")
    if not isinstance(pattern, str):
        raise BadConstraint("Unknown predicate type")
    if len(pattern) > _MAX_PATTERN:
        raise BadConstraint(f"Failed to construct regex from pattern '{pattern[:40]}…': it is too long")
    try:
        expression = re.compile(pattern)
    except re.error as error:
        problem = f"missing ): {pattern}" if "missing )" in error.msg else str(error)
        raise BadConstraint(f"Failed to construct regex from pattern '{pattern}': {problem}") from None
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
