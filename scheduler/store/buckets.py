"""An index: from a key to the things that have it, kept in the order in which they came."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: A set that keeps an order: the same operations always lead to the same walks.
Bucket = dict[V, None]


def put(index: dict[K, Bucket[V]], key: K, value: V) -> None:
    index.setdefault(key, {})[value] = None


def drop(index: dict[K, Bucket[V]], key: K, value: V) -> None:
    """An empty bucket goes, too."""
    bucket = index[key]
    del bucket[value]
    if not bucket:
        del index[key]
