"""What operators set and see of roles: quotas, weights, who is in a role and how much it holds.

Texts of refusals are Mesos'. A `Refusal` carries the HTTP status that goes with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mesos.core.messages import Opaque, Resource
from mesos.local.core.amounts import describe_amount, is_countable, thousandths
from mesos.local.core.cluster import Cluster
from mesos.local.core.offers import take_back
from mesos.local.core.quota import Quota, top_of
from mesos.local.core.resources import ANY_ROLE
from mesos.local.core.roles import problem_of_role


class Refusal(ValueError):
    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


# --- quotas -------------------------------------------------------------------------------------------------------


def update_quotas(cluster: Cluster, configs: Iterable[Mapping[str, Any]], force: bool) -> None:
    """All or nothing; a config without guarantees and limits takes a quota away."""
    wanted = [_read_config(number, config) for number, config in enumerate(configs)]
    changed = dict(cluster.allocator.quotas.by_role) | dict(wanted)
    if not force:
        problem = _overcommitment(cluster, changed)
        if problem is not None:
            text = f"Invalid QuotaConfig: total quota guarantees {problem} (use 'force' flag to bypass this check)"
            raise Refusal(text)
    for role, quota in wanted:
        cluster.allocator.set_quota(role, quota)
    enforce(cluster)


def enforce(cluster: Cluster) -> None:
    """Offers of roles that have more than their limits are taken back: a limit was lowered, or tasks came back."""
    cluster.allocator.overdrawn = False
    for role in list(cluster.allocator.quotas.by_role):
        room = cluster.allocator.quotas.room(role)
        if room is not None and any(left < 0 for left in room.values()):
            over = [name for name, offer in cluster.offers.items() if top_of(offer.role) == role]
            take_back(cluster, over, rescind=True)


def _read_config(number: int, config: Mapping[str, Any]) -> tuple[str, Quota]:
    role = config.get("role")
    if not isinstance(role, str):
        missing = f"update_quota.quota_configs[{number}].role"
        raise Refusal(f"Failed to convert JSON into Call protobuf: Missing required fields: {missing}")
    if (problem := problem_of_role(role)) is not None:
        raise Refusal(f"Invalid QuotaConfig: Invalid 'QuotaConfig.role': {problem}")
    if "/" in role:
        raise Refusal(f"Updating quota on nested role '{role}' is not supported yet")
    guarantees = _read_amounts(config.get("guarantees") or {}, "guarantee")
    limits = _read_amounts(config.get("limits") or {}, "limit")
    if any(name in limits and amount > limits[name] for name, amount in guarantees.items()):
        raise Refusal(
            f"Invalid QuotaConfig: 'QuotaConfig.guarantees' {_braced(guarantees)} is not contained "
            f"within the 'QuotaConfig.limits' {_braced(limits)}"
        )
    return role, Quota(guarantees=guarantees, limits=limits)


def _read_amounts(given: Mapping[str, Any], what: str) -> dict[str, int]:
    amounts = {}
    for name, scalar in given.items():
        value = scalar.get("value", 0) if isinstance(scalar, Mapping) else scalar
        if not isinstance(value, int | float) or not is_countable(value):
            raise Refusal(f"Invalid QuotaConfig: Invalid {what} configuration: '{name}' is no number")
        if value < 0:
            text = f"{{'{name}': {value:g}}}: Negative values not supported"
            raise Refusal(f"Invalid QuotaConfig: Invalid {what} configuration {text}")
        amounts[name] = thousandths(value)
    return amounts


def _braced(amounts: Mapping[str, int]) -> str:
    return "{ " + "; ".join(f"{name}: {describe_amount(amount)}" for name, amount in amounts.items()) + " }"


def _listed(amounts: Mapping[str, int]) -> str:
    return "; ".join(f"{name}:{describe_amount(amount)}" for name, amount in sorted(amounts.items()))


def _overcommitment(cluster: Cluster, quotas: Mapping[str, Quota]) -> str | None:
    sums: dict[str, int] = {}
    for quota in quotas.values():
        for name, amount in quota.guarantees.items():
            sums[name] = sums.get(name, 0) + amount
    total = cluster.allocator.total
    if all(amount <= total.get(name, 0) for name, amount in sums.items()):
        return None
    capacity = {name: amount for name, amount in total.items() if amount}
    return f"'{_listed(sums)}' exceed cluster capacity '{_listed(capacity)}'"


def set_quota(cluster: Cluster, role: str, guarantee: Iterable[Resource], force: bool) -> None:
    """The old way: a guarantee that is a limit, too."""
    prefix = "Failed to validate set quota request: "
    if (problem := problem_of_role(role)) is not None:
        raise Refusal(f"{prefix}QuotaInfo with invalid role: {problem}")
    if "/" in role:
        raise Refusal(f"Setting quota on nested role '{role}' is not supported yet")
    if role in cluster.allocator.quotas.by_role:
        raise Refusal(f"{prefix}Cannot set quota for role '{role}' which already has quota")
    amounts = {}
    for item in guarantee:
        if item.scalar is None or not is_countable(item.scalar.value) or item.scalar.value < 0:
            raise Refusal(f"{prefix}QuotaInfo may only contain scalar resources")
        amounts[item.name] = thousandths(item.scalar.value)
    quota = Quota(guarantees=amounts, limits=amounts)
    problem = _overcommitment(cluster, dict(cluster.allocator.quotas.by_role) | {role: quota})
    if not force and problem is not None:
        text = "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees "
        raise Refusal(text + problem, status=409)
    cluster.allocator.set_quota(role, quota)
    enforce(cluster)


def remove_quota(cluster: Cluster, role: str) -> None:
    if role not in cluster.allocator.quotas.by_role:
        raise Refusal(f"Failed to remove quota for path '/master/quota/{role}': Role '{role}' has no quota set")
    cluster.allocator.set_quota(role, Quota())


def quotas_view(cluster: Cluster) -> Opaque:
    infos, configs = [], []
    for role, quota in cluster.allocator.quotas.by_role.items():
        info: Opaque = {"role": role}
        config: Opaque = {"role": role}
        if quota.guarantees:
            info["guarantee"] = [
                {"name": name, "type": "SCALAR", "scalar": {"value": amount / 1000}}
                for name, amount in quota.guarantees.items()
            ]
            config["guarantees"] = {name: {"value": amount / 1000} for name, amount in quota.guarantees.items()}
        if quota.limits:
            config["limits"] = {name: {"value": amount / 1000} for name, amount in quota.limits.items()}
        infos.append(info)
        configs.append(config)
    return {"infos": infos, "configs": configs} if configs else {}


# --- weights ------------------------------------------------------------------------------------------------------


def update_weights(cluster: Cluster, infos: Iterable[Mapping[str, Any]]) -> None:
    """All or nothing. Offers are taken back, so that the new shares hold at once."""
    wanted = []
    prefix = "Failed to validate update weights request JSON"
    for info in infos:
        role, weight = info.get("role", ANY_ROLE), info.get("weight")
        if (problem := problem_of_role(role)) is not None:
            raise Refusal(f"{prefix}: Invalid role '{role}': {problem}")
        if not isinstance(weight, int | float) or not weight > 0 or not math.isfinite(weight):
            shown = f"{weight:g}" if isinstance(weight, int | float) else weight
            raise Refusal(f"{prefix} for role '{role}': Invalid weight '{shown}': Weights must be positive")
        wanted.append((role, float(weight)))
    for role, weight in wanted:
        cluster.allocator.set_weight(role, weight)
    if wanted:
        take_back(cluster, list(cluster.offers), rescind=True)


def weights_view(cluster: Cluster) -> list[Opaque]:
    weights = cluster.allocator.role_shares.weights
    return [{"role": role, "weight": weight} for role, weight in weights.items()]


# --- roles --------------------------------------------------------------------------------------------------------


def _known_roles(cluster: Cluster) -> list[str]:
    allocator = cluster.allocator
    subscribed = {role for framework in cluster.frameworks.values() for role in framework.roles}
    reserved = {
        key.reserved_for for slot in allocator.agents.values() for key in slot.total.amounts if key.reservations
    }
    return sorted(subscribed | reserved | set(allocator.role_shares.weights) | set(allocator.quotas.by_role))


def _numbers(amounts: Mapping[str, int]) -> Opaque:
    return {name: amount / 1000 for name, amount in sorted(amounts.items()) if amount}


def _offered(cluster: Cluster) -> dict[str, dict[str, int]]:
    """By role."""
    by_role: dict[str, dict[str, int]] = {}
    for offer in cluster.offers.values():
        sums = by_role.setdefault(offer.role, {})
        for name, amount in offer.resources.scalars().items():
            sums[name] = sums.get(name, 0) + amount
    return by_role


def _reserved(cluster: Cluster) -> dict[str, dict[str, int]]:
    """By role."""
    by_role: dict[str, dict[str, int]] = {}
    for slot in cluster.allocator.agents.values():
        for key, amount in slot.total.amounts.items():
            if key.reservations and isinstance(amount, int):
                sums = by_role.setdefault(key.reserved_for, {})
                sums[key.name] = sums.get(key.name, 0) + amount
    return by_role


def _in_role(cluster: Cluster, role: str) -> list[str]:
    return [framework.id for framework in cluster.frameworks.values() if role in framework.roles]


def roles_view(cluster: Cluster) -> Opaque:
    """/roles."""
    offered, reserved = _offered(cluster), _reserved(cluster)
    found = []
    for role in _known_roles(cluster):
        held = cluster.allocator.role_shares.own(role)
        in_offers = offered.get(role, {})
        used = {name: amount - in_offers.get(name, 0) for name, amount in held.items()}
        quota = cluster.allocator.quotas.by_role.get(role, Quota())
        consumed = cluster.allocator.quotas.used(role) if role == top_of(role) else {}
        found.append(
            {
                "name": role,
                "weight": cluster.allocator.role_shares.weights.get(role, 1.0),
                "quota": {
                    "role": role,
                    "guarantee": _numbers(quota.guarantees),
                    "limit": _numbers(quota.limits),
                    "consumed": _numbers({name: a - in_offers.get(name, 0) for name, a in consumed.items()}),
                },
                "resources": _numbers(held),
                "allocated": _numbers(used),
                "offered": _numbers(in_offers),
                "reserved": _numbers(reserved.get(role, {})),
                "frameworks": _in_role(cluster, role),
            }
        )
    return {"roles": found}


def v1_roles_view(cluster: Cluster) -> Opaque:
    """GET_ROLES."""
    found = []
    for role in _known_roles(cluster):
        entry: Opaque = {"name": role, "weight": cluster.allocator.role_shares.weights.get(role, 1.0)}
        frameworks = _in_role(cluster, role)
        if frameworks:
            entry["frameworks"] = [{"value": framework} for framework in frameworks]
        held = _numbers(cluster.allocator.role_shares.own(role))
        if held:
            entry["resources"] = [{"name": name, "type": "SCALAR", "scalar": {"value": v}} for name, v in held.items()]
        found.append(entry)
    return {"roles": found}
