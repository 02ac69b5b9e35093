"""Equal configurations are one object: a job of thousands has its configuration in memory once.

A `TaskConfig` holds mappings and can't be hashed: what finds its twin is its own encoding, which is the same for equal
ones. A configuration that nobody uses any more is forgotten.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct, structs

from scheduler.core.model import ScheduledTask, TaskConfig

_encoder = msgspec.msgpack.Encoder(order="deterministic")


class _Use(Struct):
    key: bytes
    config: TaskConfig
    count: int = 0


class SharedConfigs:
    def __init__(self) -> None:
        self._by_key: dict[bytes, _Use] = {}
        self._by_identity: dict[int, _Use] = {}  # the objects are held here, so an identity stays theirs

    def __len__(self) -> int:
        return len(self._by_key)

    def hold(self, task: ScheduledTask) -> ScheduledTask:
        """The same task with the shared configuration, which is used once more."""
        use = self._by_identity.get(id(task.config))
        if use is None:
            use = self._find(task.config)
            if use.config is not task.config:
                task = structs.replace(task, assigned_task=structs.replace(task.assigned_task, task=use.config))
        use.count += 1
        return task

    def release(self, task: ScheduledTask) -> None:
        """Of a task that `hold` gave."""
        use = self._by_identity[id(task.config)]
        use.count -= 1
        if use.count == 0:
            del self._by_identity[id(use.config)], self._by_key[use.key]

    def _find(self, config: TaskConfig) -> _Use:
        key = _encoder.encode(config)
        use = self._by_key.get(key)
        if use is None:
            use = self._by_key[key] = self._by_identity[id(config)] = _Use(key, config)
        return use
