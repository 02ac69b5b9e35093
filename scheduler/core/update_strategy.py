"""In which order an update takes its instances, and how many of them at once.

New instances come first, then those that are replaced, then those that go; by number within each class. Way back is
the same walk backwards, with the same batches: the last one, which may be smaller, comes first.

    queue      so many instances in the works at any time; the next one follows as soon as one is done
    batch      a batch begins when nothing is in the works any more
    var batch  the same, with a size for each batch; the last size stays

Source: spec/scheduler.md §4.3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scheduler.core.update_diff import configs_of, ids_of
from scheduler.core.update_model import (
    BatchStrategy,
    JobUpdateInstructions,
    JobUpdateSettings,
    QueueStrategy,
    UpdateStrategy,
)


@dataclass(frozen=True, slots=True)
class Walk:
    """`groups` one after the other; a queue has groups of one, and `window` of them at once."""

    groups: tuple[tuple[int, ...], ...]
    window: int | None = None  # None: a group begins when nothing is in the works
    autopause: bool = False

    @property
    def order(self) -> tuple[int, ...]:
        return tuple(instance for group in self.groups for instance in group)

    def reversed(self) -> Walk:
        """Way back; nobody asks on it whether to go on."""
        groups = tuple(tuple(reversed(group)) for group in reversed(self.groups))
        return Walk(groups, self.window)


def walk_of(instructions: JobUpdateInstructions, *, backward: bool = False) -> Walk:
    order = order_of(instructions)
    strategy = strategy_of(instructions.settings)
    window, autopause = None, False
    if strategy.queue_strategy is not None:
        sizes: Sequence[int] = (1,)
        window = strategy.queue_strategy.group_size
    elif strategy.batch_strategy is not None:
        sizes = (strategy.batch_strategy.group_size,)
        autopause = strategy.batch_strategy.autopause_after_batch
    else:
        assert strategy.var_batch_strategy is not None
        sizes = strategy.var_batch_strategy.group_sizes
        autopause = strategy.var_batch_strategy.autopause_after_batch
    walk = Walk(tuple(_cut(order, sizes)), window, autopause)
    return walk.reversed() if backward else walk


def order_of(instructions: JobUpdateInstructions) -> tuple[int, ...]:
    """All instances of the update, on its way forward."""
    before = configs_of(instructions.initial_state)
    after = set(ids_of(instructions.desired_state.instances)) if instructions.desired_state is not None else set()
    return (
        *sorted(after - before.keys()),
        *sorted(after & before.keys()),
        *sorted(before.keys() - after),
    )


def strategy_of(settings: JobUpdateSettings) -> UpdateStrategy:
    """The one that is set, or what the old fields say."""
    given = settings.update_strategy
    if given is not None and given != UpdateStrategy():
        return given
    size = settings.update_group_size
    if settings.wait_for_batch_completion:
        return UpdateStrategy(batch_strategy=BatchStrategy(group_size=size))
    return UpdateStrategy(queue_strategy=QueueStrategy(group_size=size))


def sizes_of(strategy: UpdateStrategy) -> tuple[int, ...]:
    """All sizes that it names."""
    if strategy.queue_strategy is not None:
        return (strategy.queue_strategy.group_size,)
    if strategy.batch_strategy is not None:
        return (strategy.batch_strategy.group_size,)
    return strategy.var_batch_strategy.group_sizes if strategy.var_batch_strategy is not None else ()


def _cut(order: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    start = 0
    for size in _repeated(sizes):
        if start >= len(order):
            return
        yield tuple(order[start : start + size])
        start += size


def _repeated(sizes: Iterable[int]) -> Iterator[int]:
    last = 1
    for last in sizes:
        yield last
    while True:
        yield last
