"""Command hooks and plugins: code of the site around whole commands.

    words = before_dispatch(site, words)                    # plugins may change the command line
    code = run_hooked(site, call, "lint,audit", command)    # everything else, around the verb

Both raise StoppedByPlugin, whose `code` is the exit code to end with.

In this order:

1. plugins' `before_execution(context)`;
2. hooks' `pre_command(noun, verb, context, commandline)`: 0 or nothing goes on, any other number is the exit code, and
   nothing more of 2 to 4 is run;
3. the command;
4. if it succeeded, `post_command(noun, verb, context, commandline, result)` of every hook;
5. plugins' `after_execution(context, code)`, whatever has happened.

What comes after the command never changes its exit code.

A hook runs for the verbs that `get_nouns()` and `get_verbs(noun)` name, for all without them. `--skip-hooks=NAME,NAME`
or `--skip-hooks=all` leaves out command hooks, not plugins, and not API hooks (`hooks`).

`context` is a `CommandCall`: the options as parsed, and ways to print. What hooks print by themselves goes to stderr.

Source: spec/scheduler.md §11.5.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from client.aurora.exits import CommandFailed, Exit, code_of
from client.aurora.hook_sources import SiteHooks
from client.exits import complain


class StoppedByPlugin(CommandFailed):
    """A plugin did not want the command; `code` is the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class CommandCall:
    """One command, as hooks and plugins see it."""

    noun: str
    verb: str
    args: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    stdout: TextIO = field(default_factory=lambda: sys.stdout, compare=False)

    def print_out(self, text: str, indent: int = 0) -> None:
        self._print(self.stdout, text, indent)

    def print_err(self, text: str, indent: int = 0) -> None:
        self._print(sys.stderr, text, indent)

    def _print(self, stream: TextIO, text: str, indent: int) -> None:
        stream.writelines(f"{' ' * indent}{line}\n" for line in text.split("\n"))
        stream.flush()


def before_dispatch(site: SiteHooks, words: Sequence[str]) -> list[str]:
    """The command line as plugins leave it. Raises StoppedByPlugin."""
    for plugin in site.plugins:
        if callable(getattr(plugin, "before_dispatch", None)):
            words = _plugin(plugin, "before_dispatch", list(words))
            if isinstance(words, str) or not isinstance(words, Sequence):
                raise StoppedByPlugin(f"{_name(plugin)}.before_dispatch must return the list of arguments", Exit.FAILED)
    return list(words)


def run_hooked(site: SiteHooks, call: CommandCall, skip: str | None, command: Callable[[], object]) -> int:
    """The exit code of `command` with everything around it. Raises StoppedByPlugin, and what the command raises."""
    if not site.plugins and not site.command:
        return _code(command())
    begun: list[object] = []
    code = int(Exit.FAILED)
    try:
        for plugin in site.plugins:
            if callable(getattr(plugin, "before_execution", None)):
                _plugin(plugin, "before_execution", call)
            begun.append(plugin)
        code = _between_hooks(chosen(site.command, call, skip), call, command)
        return code
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        raise
    except Exception as error:
        code = error.code if isinstance(error, StoppedByPlugin) else code_of(error)
        raise
    finally:
        for plugin in begun:
            _quietly(plugin, "after_execution", call, code)


def chosen(hooks: Sequence[object], call: CommandCall, skip: str | None) -> list[Any]:
    """The hooks for this command that are not skipped."""
    skipped = set() if skip is None else {name.strip() for name in skip.split(",")}
    if "all" in skipped:
        return []
    return [hook for hook in hooks if hook.name not in skipped and _is_for(hook, call)]  # type: ignore[attr-defined]


def _is_for(hook: Any, call: CommandCall) -> bool:
    nouns, verbs = getattr(hook, "get_nouns", None), getattr(hook, "get_verbs", None)
    if callable(nouns) and call.noun not in nouns():
        return False
    return not callable(verbs) or call.verb in verbs(call.noun)


def _between_hooks(hooks: Sequence[Any], call: CommandCall, command: Callable[[], object]) -> int:
    for hook in hooks:
        refused = _pre(hook, call)
        if refused:
            return refused
    code = _code(command())
    if code == 0:
        for hook in hooks:
            _quietly(hook, "post_command", call.noun, call.verb, call, call.args, code)
    return code


def _pre(hook: Any, call: CommandCall) -> int:
    """The exit code with which the hook ends the command; 0 to go on."""
    if not callable(getattr(hook, "pre_command", None)):
        return 0
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = hook.pre_command(call.noun, call.verb, call, call.args)
    except (Exception, SystemExit) as error:
        complain("aurora", f"Error executing command hook {hook.name}: {_words(error)}; aborting")
        return _stop_code(error)
    if answer is None or (answer == 0 and not isinstance(answer, bool)):
        return 0
    complain("aurora", f"Command aborted by command hook {hook.name}")
    return _in_range(answer)


def _plugin(plugin: Any, method: str, argument: object) -> Any:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return getattr(plugin, method)(argument)
    except (Exception, SystemExit) as error:
        text = f"Error in configuration plugin {_name(plugin)}.{method}: {_words(error)}"
        raise StoppedByPlugin(text, _stop_code(error)) from error


def _quietly(hook: Any, method: str, *arguments: object) -> None:
    """What is called after the command can't change its result; if it fails, that is said."""
    function = getattr(hook, method, None)
    if not callable(function):
        return
    try:
        with contextlib.redirect_stdout(sys.stderr):
            function(*arguments)
    except (Exception, SystemExit) as error:
        complain("aurora", f"Error executing {_name(hook)}.{method}: {_words(error)}; that changes nothing")


def _code(result: object) -> int:
    return int(result) if isinstance(result, int) else 0


def _stop_code(error: BaseException) -> int:
    return _in_range(getattr(error, "code", None))


def _in_range(code: object) -> int:
    """A number that a shell can see; Exit.FAILED for anything else."""
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 256 else Exit.FAILED


def _name(hook: object) -> str:
    name = getattr(hook, "name", None)
    return name if isinstance(name, str) and name else type(hook).__name__


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
