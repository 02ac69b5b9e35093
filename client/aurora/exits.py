"""Exit codes of `aurora`, and which error ends with which. The table in docs/aurora.md is made from it.

Source: spec/scheduler.md §11.1.
"""

from __future__ import annotations

from enum import IntEnum

import click

from client.api_errors import ApiError, AuthError, NetworkError, TimedOut
from thermos.errors import ConfigError, HostError, RemoteError, ThermosError, UserError


class Exit(IntEnum):
    OK = 0
    BAD_CONFIG = 3
    FAILED = 4
    BAD_COMMAND = 5
    BAD_PARAMETER = 6
    NETWORK = 7
    TIMEOUT = 9
    API = 10
    UNKNOWN = 20
    AUTH = 30
    INTERRUPTED = 130


#: code -> when
MEANINGS: dict[Exit, str] = {
    Exit.OK: "done as asked",
    Exit.BAD_CONFIG: "the config has problems; all of them were printed",
    Exit.FAILED: "the command failed: what was started or watched did not end well, or this machine refused",
    Exit.BAD_COMMAND: "there is no such command or option, or an argument is missing",
    Exit.BAD_PARAMETER: "a bad value: key, instances, cluster, number; or there is no such job or instance",
    Exit.NETWORK: "the scheduler can't be reached, or what answers is none",
    Exit.TIMEOUT: "the scheduler, or what was waited for, took too long",
    Exit.API: "the scheduler refused",
    Exit.UNKNOWN: "an error that nobody expected, please report it",
    Exit.AUTH: "the scheduler does not know you, or you may not do this",
    Exit.INTERRUPTED: "interrupted; what goes on was said",
}


class CommandFailed(ThermosError):
    """What was asked for was tried, and did not succeed."""

    code: int = Exit.FAILED


#: The first class that an error is of says its code.
_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (ConfigError, Exit.BAD_CONFIG),
    (UserError, Exit.BAD_PARAMETER),
    (AuthError, Exit.AUTH),
    (ApiError, Exit.API),
    (TimedOut, Exit.TIMEOUT),
    (NetworkError, Exit.NETWORK),
    (RemoteError, Exit.NETWORK),
    (HostError, Exit.FAILED),
    (OSError, Exit.FAILED),
)


def code_of(error: Exception) -> int:
    """Words that click does not understand are a bad command, values that it does not take bad parameters; so is
    the key of what the scheduler does not have."""
    if isinstance(error, CommandFailed):
        return error.code
    if isinstance(error, ApiError) and error.status == 404:
        return Exit.BAD_PARAMETER
    said = error.__cause__
    if isinstance(said, click.UsageError):
        bad_value = isinstance(said, click.BadParameter) and not isinstance(said, click.MissingParameter)
        return Exit.BAD_PARAMETER if bad_value else Exit.BAD_COMMAND
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.UNKNOWN)
