"""Options of the whole suite, and what every test may rely on."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

#: No example is judged by how long it takes: on a busy machine any of them may take long.
settings.register_profile("busy", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--mesos",
        action="append",
        choices=["embedded", "real"],
        help="which Mesos the conformance suite runs against (may be given twice; default: embedded)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """A shell ignores SIGINT for what it starts in the background, nohup SIGHUP; what tests start would do so, too."""
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
