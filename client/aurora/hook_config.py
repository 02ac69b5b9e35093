"""What API hooks are told of a job: its key and its config, with the names that hooks of the original use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from config.core.taskconfig import job_configuration


@dataclass(frozen=True, slots=True)
class HookJobKey:
    """A job in a cluster; its text is `cluster/role/env/name`."""

    cluster: str
    role: str
    env: str
    name: str

    @property
    def environment(self) -> str:
        return self.env

    def to_path(self) -> str:
        return f"{self.cluster}/{self.role}/{self.env}/{self.name}"

    def __str__(self) -> str:
        return self.to_path()

    def __iter__(self) -> Iterator[str]:
        return iter((self.cluster, self.role, self.env, self.name))


@dataclass(frozen=True, slots=True)
class HookedConfig:
    """The config of one job: the Job as its author wrote it (`raw()`), and as it is sent (`job()`)."""

    _raw: Any
    _data: Mapping[str, Any]
    _user: str
    hooks: tuple[object, ...] = ()

    def raw(self) -> Any:
        return self._raw

    def job(self) -> dict[str, Any]:
        """The JobConfiguration of the API."""
        return job_configuration(self._data, user=self._user)

    def job_key(self) -> HookJobKey:
        return HookJobKey(self.cluster(), self.role(), self.environment(), self.name())

    def cluster(self) -> str:
        return str(self._data["cluster"])

    def role(self) -> str:
        return str(self._data["role"])

    def environment(self) -> str:
        return str(self._data["environment"])

    def name(self) -> str:
        return str(self._data["name"])

    def instances(self) -> int:
        return int(self._data["instances"])


@dataclass(frozen=True, slots=True)
class HookConfig:
    """The first argument of a `generic_hook`; unpacks into config and key."""

    config: HookedConfig | None
    job_key: HookJobKey

    def __iter__(self) -> Iterator[HookedConfig | HookJobKey | None]:
        return iter((self.config, self.job_key))
