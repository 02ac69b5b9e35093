"""The command with a real scheduler and our executor, on the embedded Mesos, and on the real one (`--mesos real`)."""

from __future__ import annotations

from tests.mesos.conformance.conftest import (
    MakeMesos,
    clusters,
    make_mesos,
    mesos,
    pytest_generate_tests,
    pytest_pyfunc_call,
    runner,
)

__all__ = ["MakeMesos", "clusters", "make_mesos", "mesos", "pytest_generate_tests", "pytest_pyfunc_call", "runner"]
