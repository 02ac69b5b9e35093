"""Jobs that a key with globs means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from client.api_client import ApiClient
from client.aurora.core.answers import Summary, one_line, parse
from client.job_keys import ClusterJobKey, PartialKey


def summaries_matching(api: ApiClient, key: PartialKey) -> list[dict[str, Any]]:
    """What the scheduler says of each of them, in its order."""
    query = {"role": key.role or None, "environment": key.environment or None, "name": key.name or None}
    return api.pages("/jobs", "jobs", query)


def jobs_matching(api: ApiClient, key: PartialKey) -> list[ClusterJobKey]:
    return [job_of(key.cluster, summary) for summary in summaries_matching(api, key)]


def job_of(cluster: str, summary: Mapping[str, Any]) -> ClusterJobKey:
    """Raises RemoteError: that is no summary of a job."""
    key = parse(summary, Summary).key
    return ClusterJobKey(cluster, one_line(key.role), one_line(key.environment), one_line(key.name))
