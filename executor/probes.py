"""The kinds of health checks. Each is one blocking call for a worker thread, which gives None or says what is wrong.

    shell   a command, run as the task's user in its sandbox; healthy if it exits with 0
    tcp     a connection to a port of the task (new)
    http    GET of the port `health`: the body, any case, and the status are compared

Of several that are configured the first of this list is used. Without a port `health` an HTTP check is none at all.

Source: spec/thermos.md §4.5, with its reasons to the letter, but: where neither a body nor a status is expected, the
answer must be a good one (2xx); there, a 500 used to be healthy.
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from executor.core.health_policy import HealthLimits
from executor.local_http import Browser, local_endpoint
from mesos.line import Line, LineError
from thermos.clock import now as look_at_clock
from thermos.host.errand import Errand, Outcome, Runner
from thermos.host.users import Identity

#: Why a check failed that did not come to an end.
TIMED_OUT = "Health check timed out."

#: The name that the port of an HTTP check has.
HEALTH_PORT = "health"

#: Seconds for a check, where the job says nothing: the variable, else the number.
TIMEOUT_VARIABLE, TIMEOUT_S = "AURORA_HTTP_SIGNALER_TIMEOUT_SECS", 1.0

#: How much of a command and of its output is told.
COMMAND_SHOWN, OUTPUT_SHOWN = 200, 1000

#: Variables of the executor that are none of a check's business.
PRIVATE = ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "BASH_ENV", "ENV")


class Probe(Protocol):
    timeout_s: float

    def __call__(self) -> str | None:
        """None: healthy; else one line that says why not. Anything it raises counts as a failure, too."""

    def cancel(self) -> None:
        """From any thread, for good: whoever is in a call returns soon."""


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What a shell check runs in. Paths are as the command sees them: inside `root`, if there is one."""

    cwd: Path
    env: Mapping[str, str]
    identity: Identity | None = None  # None: as the executor's own user
    root: Path | None = None
    nofile: tuple[int, int] | None = None  # limits to give back
    label: str = "health check"  # for `ps`


@dataclass(slots=True, eq=False)
class HttpProbe:
    url: str
    timeout_s: float = TIMEOUT_S
    expected_response: str = "ok"
    expected_code: int = 0
    _browser: Browser = field(default_factory=Browser)

    def __call__(self) -> str | None:
        try:
            answer = self._browser.ask("GET", self.url, self.timeout_s)
        except LineError as error:
            return f"Failed to signal {self.url}: {error}"
        body = answer.body.decode(errors="replace").strip()  # of a good answer only
        expected = self.expected_response
        if expected and body.lower() != expected.lower():
            differs = f'(expected "{_short(expected)}", got "{_short(body)}")'
            return f"Response differs from expected response {differs}"
        good = 200 <= answer.status < 300 if self.expected_code == 0 else answer.status == self.expected_code
        if not good:
            wanted = self.expected_code or "2xx"
            return f"Response code differs from expected response (expected {wanted}, got {answer.status})"
        return None

    def cancel(self) -> None:
        self._browser.interrupt()


class TcpProbe:
    """Healthy if somebody accepts the connection, which is closed at once."""

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self.timeout_s = timeout_s
        self._endpoint = local_endpoint(host, port)
        self._line: Line | None = None
        self._cancelled = False

    def __call__(self) -> str | None:
        self._line = line = Line(self._endpoint)
        try:
            if self._cancelled:
                line.interrupt()
            line.open(look_at_clock().mono + self.timeout_s)
        except LineError as error:
            return f"Failed to signal tcp://{self._endpoint}: {error}"
        finally:
            line.close()
        return None

    def cancel(self) -> None:
        self._cancelled = True
        if self._line is not None:
            self._line.interrupt()


class ShellProbe:
    def __init__(self, command: str, timeout_s: float, context: ProbeContext) -> None:
        self.timeout_s = timeout_s
        self._command = command
        errand = Errand(
            command,
            context.cwd,
            context.env,
            identity=context.identity,
            root=context.root,
            nofile=context.nofile,
            label=context.label,
        )
        self._runner = Runner(errand)

    def __call__(self) -> str | None:
        if "\0" in self._command:
            return "Invalid commmand."  # spelt so since ever
        try:
            outcome = self._runner.run(self.timeout_s)
        except OSError as error:
            return f"OSError: {error.strerror}"
        if outcome.left:
            return f"{TIMED_OUT} It does not die, so no other is started."
        if outcome.overdue:
            return TIMED_OUT
        if outcome.cancelled:
            return "Health check was called off."
        if outcome.failed is not None:
            return _set_up_failure(*outcome.failed)
        return None if outcome.code == 0 else self._failure(outcome)

    def cancel(self) -> None:
        self._runner.cancel()

    def close(self) -> None:
        """When no thread is in a call any more."""
        self._runner.close()

    def _failure(self, outcome: Outcome) -> str:
        status = str(outcome.code) if outcome.signal is None else f"-{outcome.signal} ({_name(outcome.signal)})"
        command = _one_line(self._command, COMMAND_SHOWN)
        output = _one_line(outcome.output.decode(errors="replace").strip(), OUTPUT_SHOWN)
        return f"Command '{command}' returned non-zero exit status {status} with output '{output}'"


@dataclass(slots=True, eq=False)
class FailingProbe:
    """A check that can't be made."""

    reason: str
    timeout_s: float = TIMEOUT_S

    def __call__(self) -> str | None:
        return self.reason

    def cancel(self) -> None:
        """There is nothing to call off."""


def choose_probe(job: Mapping[str, Any], ports: Mapping[str, int], context: ProbeContext) -> Probe | None:
    """What the `health_check_config` of a bound job asks for; None: nothing, the task counts as healthy."""
    config = _mapping(job, "health_check_config")
    checker = _mapping(config, "health_checker")
    timeout_s = read_timeout(config, context.env)
    if "shell" in checker:
        return ShellProbe(str(_mapping(checker, "shell").get("shell_command", "")), timeout_s, context)
    if "tcp" in checker:
        name = str(_mapping(checker, "tcp").get("port", HEALTH_PORT))
        if name in ports:
            return TcpProbe("localhost", ports[name], timeout_s)
        return FailingProbe(f"the task has no port {name!r} that could be checked", timeout_s)
    if HEALTH_PORT not in ports:
        return None
    http = _mapping(checker, "http")
    endpoint = str(http.get("endpoint", "/health"))
    slash = "" if endpoint.startswith("/") else "/"
    url = f"http://localhost:{ports[HEALTH_PORT]}{slash}{endpoint}"
    return HttpProbe(
        url, timeout_s, str(http.get("expected_response", "ok")), int(http.get("expected_response_code", 0))
    )


def read_timeout(config: Mapping[str, Any], env: Mapping[str, str]) -> float:
    """Seconds for one check."""
    for value in (config.get("timeout_secs"), env.get(TIMEOUT_VARIABLE)):
        try:
            seconds = float(value) if value is not None else 0.0
        except ValueError:
            continue  # a variable that is no number says nothing
        if 0 < seconds < math.inf:
            return seconds
    return TIMEOUT_S


def read_limits(job: Mapping[str, Any]) -> HealthLimits:
    """The numbers of a job's `health_check_config`."""
    config = _mapping(job, "health_check_config")
    default = HealthLimits()
    return HealthLimits(
        initial_interval_s=float(config.get("initial_interval_secs", default.initial_interval_s)),
        interval_s=float(config.get("interval_secs", default.interval_s)),
        max_failures=int(config.get("max_consecutive_failures", default.max_failures)),
        min_successes=int(config.get("min_consecutive_successes", default.min_successes)),
    )


def check_environment(environ: Mapping[str, str], identity: Identity | None, home: Path) -> dict[str, str]:
    """What a shell check finds in its environment: the executor's, as ever, but the user's own name, the sandbox as
    HOME, and no secret."""
    env = {name: value for name, value in environ.items() if name not in PRIVATE}
    env.setdefault("PATH", os.defpath)
    if identity is not None:
        env |= {"HOME": str(home), "LOGNAME": identity.name, "USER": identity.name}
    return env


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def _short(text: str) -> str:
    """At most ten characters."""
    text = _one_line(text, len(text))
    return text if len(text) < 10 else f"{text[:7]}..."


def _one_line(text: str, most: int) -> str:
    """Beginning and end of a long text; what would break a line is written as Python would."""
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a signal without a name"


def _set_up_failure(stage: str, number: int) -> str:
    if stage == "exec":
        return f"OSError: {os.strerror(number)}"
    if stage == "coordinator":
        return "OSError: what minded the command was killed"
    return f"OSError: {os.strerror(number)} ({stage})"
