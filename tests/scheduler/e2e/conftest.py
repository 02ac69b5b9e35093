"""The scheduler with our executor on a Mesos: the embedded one, and the real one with `--mesos real`."""

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
