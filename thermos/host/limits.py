"""Limits of this process, which its children shall not inherit."""

from __future__ import annotations

import resource


def raise_nofile() -> tuple[int, int]:
    """Allow ourselves as many descriptors as we may have. Returns the limits that we had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft, hard
