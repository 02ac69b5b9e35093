"""The hooks of a site: those of installed packages, and of `hooks.py` beside `clusters.json`.

A package names them as entry points of the group `aurora.hooks`, each a hook or a list of hooks. `hooks.py` is looked
for in `$AURORA_CONFIG_ROOT` (else `/etc/aurora`) and then in `~/.aurora`; what it leaves in `hooks`, a list, is used.
It runs as a config file does, with the same words for what is wrong with it.

What a hook is for shows in its methods: API hooks (`hooks`) have `pre_METHOD` and the like, command hooks have
`pre_command` or `post_command`, plugins `before_dispatch`, `before_execution` or `after_execution` (`command_hooks`).
One object may be several of them. A class stands for an object of it.

Nothing of this runs before a verb is called: `aurora --help` knows no hooks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from client.aurora.hooks import ApiMethod, Event, hook_object
from client.clusters import cluster_files
from config.sources import Sources
from config.userfile import UserFile
from thermos.errors import ConfigError

GROUP = "aurora.hooks"
FILE = "hooks.py"

API_METHODS = frozenset({"generic_hook", *(f"{event}_{method}" for event in Event for method in ApiMethod)})
COMMAND_METHODS = frozenset({"pre_command", "post_command"})
PLUGIN_METHODS = frozenset({"before_dispatch", "before_execution", "after_execution"})


@dataclass(frozen=True, slots=True)
class SiteHooks:
    """Hooks for every job and every command, in the order in which they run."""

    api: tuple[object, ...] = ()
    command: tuple[object, ...] = ()
    plugins: tuple[object, ...] = ()


def load_site_hooks(environ: Mapping[str, str] = os.environ) -> SiteHooks:
    """All hooks of the site. Raises ConfigError, one line, if one of them can't be had."""
    found = [*_of_packages(entry_points(group=GROUP)), *_of_files(hook_files(environ))]
    return SiteHooks(
        api=_having(API_METHODS, found), command=_having(COMMAND_METHODS, found), plugins=_having(PLUGIN_METHODS, found)
    )


def hook_files(environ: Mapping[str, str]) -> list[Path]:
    """The `hooks.py`s that there are."""
    files = [beside.with_name(FILE) for beside in cluster_files(environ)]
    return [file for file in files if file.exists()]


def _of_packages(entries: Iterable[EntryPoint]) -> Iterator[object]:
    for entry in sorted(entries, key=lambda entry: (entry.name, entry.value)):
        where = f"hook {entry.name} ({entry.value})"
        try:
            loaded = entry.load()
        except Exception as error:  # somebody else's code: it may raise anything
            raise ConfigError(f"cannot load {where}: {type(error).__name__}: {error}; mend or uninstall it") from error
        yield from _checked(where, loaded if isinstance(loaded, list | tuple) else [loaded])


def _of_files(files: Iterable[Path]) -> Iterator[object]:
    for path in files:
        file = UserFile(Sources(str(path)), {})
        file.run()
        hooks = file.env.get("hooks")
        if not isinstance(hooks, list | tuple):
            raise ConfigError(f"{path}: defines no hooks; put them in a list: hooks = [MyHook()]")
        yield from _checked(str(path), hooks)


def _checked(where: str, hooks: Iterable[object]) -> Iterator[object]:
    """Each as an object that can be asked. Raises ConfigError for what is no hook."""
    for index, given in enumerate(hooks):
        hook = hook_object(given, f"{where}: hooks[{index}]")
        name = type(hook).__name__
        if not any(_having(methods, [hook]) for methods in (API_METHODS, COMMAND_METHODS, PLUGIN_METHODS)):
            raise ConfigError(
                f"{where}: hooks[{index}] ({name}) has no method of a hook, such as pre_create_job or pre_command"
            )
        if _having(COMMAND_METHODS, [hook]) and not _is_named(hook):
            raise ConfigError(f"{where}: hooks[{index}] ({name}) needs a `name`, which must not be `all`")
        yield hook


def _is_named(hook: object) -> bool:
    name = getattr(hook, "name", None)
    return isinstance(name, str) and name not in ("", "all")


def _having(methods: frozenset[str], hooks: Iterable[object]) -> tuple[object, ...]:
    return tuple(hook for hook in hooks if any(callable(getattr(hook, method, None)) for method in methods))
