"""Jobs that a key with globs means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.api_client import ApiClient
from client.job_keys import ClusterJobKey, PartialKey
from thermos.errors import RemoteError


def summaries_matching(api: ApiClient, key: PartialKey) -> list[dict[str, Any]]:
    """What the scheduler says of each of them, in its order."""
    query = {"role": key.role or None, "environment": key.environment or None, "name": key.name or None}
    return api.pages("/jobs", "jobs", query)


def jobs_matching(api: ApiClient, key: PartialKey) -> list[ClusterJobKey]:
    return [job_of(key.cluster, summary) for summary in summaries_matching(api, key)]


def job_of(cluster: str, summary: Mapping[str, Any]) -> ClusterJobKey:
    """Raises RemoteError: that is no summary of a job."""
    try:
        found = summary["key"]
        return ClusterJobKey(cluster, str(found["role"]), str(found["environment"]), str(found["name"]))
    except (KeyError, TypeError) as error:
        raise RemoteError("the scheduler's answer is not understood: a job without a key") from error
