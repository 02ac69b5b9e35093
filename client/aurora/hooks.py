"""API hooks: code of a config, or of the site, around the calls that change something in a cluster.

    hooked = hooked_job("west/www/prod/web", job=job, data=checked.data, user=user, hooks=loaded.hooks, site=site.api)
    with_hooks(hooked, ApiMethod.KILL_JOB, lambda: api.kill(key, [0]), instances=[0])

A config's hooks run if the job has `enable_hooks = True`, those of the site (`hook_sources`) always and first. Around
a METHOD a hook may have:

    pre_METHOD(…)            returns False, or raises: the call is not made, and no further hook is asked
    post_METHOD(result, …)   after the call; what it returns or raises changes nothing
    err_METHOD(error, …)     after a call that failed; what it returns or raises changes nothing
    generic_hook(hook_config, event, method, result_or_error, args, kw)   for what the hook has no other method for

`…` is what `_ARGUMENTS` says: first by position, then by name; of the latter a hook gets what its signature has. What
hooks print goes to stderr, so that it can't spoil what a command prints.

Source: spec/scheduler.md §11.5.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from client.aurora.exits import CommandFailed
from client.aurora.hook_config import HookConfig, HookedConfig, HookJobKey
from client.exits import complain
from thermos.errors import Bug, ConfigError

T = TypeVar("T")


class ApiMethod(StrEnum):
    """Calls that hooks stand around, under the names that hooks know."""

    CREATE_JOB = "create_job"
    ADD_INSTANCES = "add_instances"
    KILL_JOB = "kill_job"
    RESTART = "restart"
    START_CRONJOB = "start_cronjob"
    START_JOB_UPDATE = "start_job_update"


class Event(StrEnum):
    PRE = "pre"
    POST = "post"
    ERR = "err"


#: What a hook is called with: by position, by name.
_ARGUMENTS: Mapping[ApiMethod, tuple[tuple[str, ...], tuple[str, ...]]] = {
    ApiMethod.CREATE_JOB: (("config",), ()),
    ApiMethod.ADD_INSTANCES: (("job_key", "count"), ("config",)),
    ApiMethod.KILL_JOB: (("job_key",), ("instances", "config")),
    ApiMethod.RESTART: (("job_key", "shards", "updater_config", "health_check_interval_seconds"), ("config",)),
    ApiMethod.START_CRONJOB: (("job_key",), ("config",)),
    ApiMethod.START_JOB_UPDATE: (("config", "message"), ("instances",)),
}

#: Old names of arguments: a hook gets them if its signature has them.
_OLD_NAMES = {"shards": "instances"}


class PreHooksStoppedCall(CommandFailed):
    """A hook did not want the call, or could not say."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A job, and the hooks that run around calls for it."""

    job_key: HookJobKey
    config: HookedConfig | None = None
    hooks: tuple[object, ...] = ()


def hooked_job(
    key: object,
    *,
    job: Any = None,
    data: Mapping[str, Any] | None = None,
    user: str = "",
    hooks: Sequence[object] = (),
    site: Sequence[object] = (),
) -> Hooked:
    """The hooks for one job.

    `key` is anything whose text is `cluster/role/env/name`. With a config: `job` as it was loaded, its checked `data`,
    who asks, and the config's hooks. Raises ConfigError for a hook that can't be made.
    """
    cluster, role, env, name = str(key).split("/")[:4]
    job_key = HookJobKey(cluster, role, env, name)
    if data is None:
        return Hooked(job_key, hooks=tuple(site))
    enabled = enumerate(hooks if data.get("enable_hooks") else ())
    own = tuple(hook_object(hook, f"hooks[{index}]") for index, hook in enabled)
    return Hooked(job_key, HookedConfig(job, data, user, own), (*site, *own))


def hook_object(given: object, where: str) -> object:
    """A class stands for one object of it. Raises ConfigError."""
    if not isinstance(given, type):
        return given
    try:
        return _only_object(given)
    except Exception as error:  # somebody else's code: it may raise anything
        raise ConfigError(f"{where} cannot be made: {_words(error)}") from error


@functools.cache
def _only_object(kind: type) -> object:
    made: object = kind()
    return made


def with_hooks(hooked: Hooked, method: ApiMethod, call: Callable[[], T], **given: object) -> T:
    """What `call` returns, with the hooks around it; `given` are the method's arguments but `config` and `job_key`.

    Raises PreHooksStoppedCall, and what the call raises.
    """
    if not hooked.hooks:
        return call()
    asked = _Asked(hooked, method, given)
    for hook in hooked.hooks:
        asked.permission(hook)
    try:
        result = call()
    except Exception as error:
        asked.tell(Event.ERR, error)
        raise
    asked.tell(Event.POST, result)
    return result


class _Asked:
    """One call and its arguments, as hooks see them."""

    def __init__(self, hooked: Hooked, method: ApiMethod, given: Mapping[str, object]) -> None:
        values = {"config": hooked.config, "job_key": hooked.job_key, **given}
        by_position, by_name = _ARGUMENTS[method]
        missing = [name for name in (*by_position, *by_name) if name not in values]
        if missing:
            raise Bug(f"hooks around {method} need {', '.join(missing)}")
        self._hooked = hooked
        self._method = method
        self._args = tuple(values[name] for name in by_position)
        self._named = {name: values[name] for name in by_name}

    def permission(self, hook: object) -> None:
        """Raises PreHooksStoppedCall. A hook that returns nothing has no objection."""
        try:
            answer = self._run(hook, Event.PRE, ())
        except (Exception, SystemExit) as error:
            raise self._stopped(f"{self._name(hook, Event.PRE)} raised {_words(error)}") from error
        if answer is not None and not answer:
            raise self._stopped(f"{self._name(hook, Event.PRE)} returned {answer!r}")

    def tell(self, event: Event, outcome: object) -> None:
        for hook in self._hooked.hooks:
            try:
                self._run(hook, event, (outcome,))
            except (Exception, SystemExit) as error:
                complain("aurora", f"hook {self._name(hook, event)} raised {_words(error)}; that changes nothing")

    def _run(self, hook: object, event: Event, outcome: tuple[object, ...]) -> object:
        """What the hook answers; None if it has no method for this."""
        function = getattr(hook, f"{event}_{self._method}", None)
        generic = getattr(hook, "generic_hook", None)
        with contextlib.redirect_stdout(sys.stderr):
            if callable(function):
                return function(*outcome, *self._args, **self._fitting(function))
            if callable(generic):
                about = HookConfig(self._hooked.config, self._hooked.job_key)
                return generic(
                    about, str(event), str(self._method), *(outcome or (None,)), self._args, dict(self._named)
                )
        return None

    def _fitting(self, function: Callable[..., object]) -> dict[str, object]:
        """The named arguments that the function takes."""
        parameters = inspect.signature(function).parameters
        takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        fitting = {name: value for name, value in self._named.items() if takes_all or name in parameters}
        for old, name in _OLD_NAMES.items():
            if old in parameters and name in self._named:
                fitting[old] = self._named[name]
        return fitting

    def _name(self, hook: object, event: Event) -> str:
        function = f"{event}_{self._method}"
        return f"{type(hook).__name__}.{function if callable(getattr(hook, function, None)) else 'generic_hook'}"

    def _stopped(self, why: str) -> PreHooksStoppedCall:
        return PreHooksStoppedCall(f"Pre hooks stopped call to {self._method}: {why}")


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
