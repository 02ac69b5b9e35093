"""Ports for tests that nobody else on this machine takes: no other worker, no other run, no connection of anybody.

A port that was free when somebody looked may be taken when it is used, and a server that was killed may find another
one in its place when it comes back. So a port of a test is either

    held    by a socket that is bound and does not listen: who connects is refused, the kernel gives the port to nobody
            else, and a server that sets SO_REUSEADDR (ours, asyncio's, Java's) may listen there beside the holder
    a block below those that the kernel gives away, of which whoever uses it has said so, where all runs can see it
"""

from __future__ import annotations

import functools
import os
import socket
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

#: Blocks for tests that want a few addresses in a row, as a cluster of masters and agents does.
BLOCKS = range(10000, 14992, 64)


def hold_port() -> socket.socket:
    with_a_port = socket.socket()
    with_a_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with_a_port.bind(("127.0.0.1", 0))
    return with_a_port


def hold_port_for(owner: object) -> int:
    """For as long as the owner is there."""
    holder = hold_port()
    port: int = holder.getsockname()[1]
    weakref.finalize(owner, os.close, holder.detach())
    return port


@contextmanager
def held_port() -> Iterator[int]:
    """Nobody listens there, unless the test does."""
    with hold_port() as holder:
        yield holder.getsockname()[1]


class Block:
    """`size` ports from `first` on, until it is closed or the process ends."""

    def __init__(self, firsts: Iterable[int], size: int) -> None:
        for first in firsts:
            mark = socket.socket(socket.AF_UNIX)
            try:
                mark.bind(f"\0ports of tests from {first}")  # an abstract name: as wide as ports are, and no file
            except OSError:
                mark.close()
                continue
            if are_free(range(first, first + size)):  # what a run that was killed left may still be there
                self.first = first
                self._mark = mark.detach()
                return
            mark.close()
        raise AssertionError(f"all blocks of {size} ports are taken")

    def close(self) -> None:
        os.close(self._mark)


def are_free(ports: Iterable[int]) -> bool:
    for port in ports:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            return False
    return True


@functools.cache
def own_port() -> int:
    """The first of 64 that are this process' own."""
    return Block(BLOCKS, BLOCKS.step).first
