"""Errors by whose fault they are, and the exit codes that tell it to a shell.

A message begins with "cannot …" or names the thing that is wrong, and says what to do. Commands print it as one
line; a traceback shown to a user is a bug.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `thermos`; the table in docs/cli.md is made from it."""

    OK = 0  # the task succeeded, or the command did what was asked
    FAILED = 1  # the task failed, or nothing matched
    USAGE = 2  # wrong words on the command line
    BAD_CONFIG = 3  # the config has problems; all of them were printed
    KILLED = 4  # the task was killed
    LOST = 5  # the task was lost
    NOT_OWNER = 6  # somebody else owns the task, or it can't be owned
    INTERNAL = 70  # an internal error, please report it; a keeper starts the runner again
    HOST = 71  # a kept runner could not own its task now (disk full); its keeper tries again
    INTERRUPTED = 130  # interrupted twice; the task was killed at once


class ThermosError(Exception):
    """Base of everything raised on purpose; `exit_code` is what a command ends with."""

    exit_code = Exit.FAILED


class UserError(ThermosError):
    """The person (or their config, or their command line) can mend it; retrying alone cannot."""

    exit_code = Exit.USAGE


class ConfigError(UserError):
    """A config that can't be used; the text may have several lines, one per problem."""

    exit_code = Exit.BAD_CONFIG


class HostError(ThermosError):
    """This machine refused: permission, full disk, missing file system, lock held."""


class NotOwner(HostError):
    """The task can't be owned now: a live runner has it, or it is finished already."""

    exit_code = Exit.NOT_OWNER


class RemoteError(ThermosError):
    """Another machine or service failed or answered nonsense; retrying may help."""


class Bug(ThermosError):
    """An invariant of ours does not hold; please report it with the text."""
