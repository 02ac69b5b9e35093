"""What an agent tells an executor in its environment.

Source: Mesos 1.11, docs/executor-http-api; seen on a real agent. With checkpointing the recovery timeout and the
back-off come too. The token is erased when it was read: children of an executor must not have it.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from msgspec import Struct

from mesos.line import Endpoint, Tls
from thermos.errors import UserError

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]+)")
_TOKEN = re.compile(r"[!-~]*")
_ENDPOINT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")


class ExecutorEnvironment(Struct, frozen=True):
    """Read it with `read`, once: the token is gone from the environment afterwards."""

    agent_endpoint: str  # host:port
    framework_id: str
    executor_id: str
    directory: str  # where the executor was started
    sandbox: str  # the same as seen in its container, if it has one of its own
    checkpoint: bool = False
    recovery_timeout_s: float = 15 * 60.0
    subscription_backoff_max_s: float = 2.0
    shutdown_grace_period_s: float = 5.0
    token: str | None = None
    domain_socket: str | None = None
    tls: Tls | None = None

    @classmethod
    def read(cls, environ: MutableMapping[str, str]) -> ExecutorEnvironment:
        """Raises UserError, in one line, when this was not started by an agent."""
        token = environ.pop("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", None)
        missing = [name for name in _REQUIRED if not environ.get(name)]
        if missing:
            raise UserError(f"cannot be a Mesos executor without {', '.join(missing)}: it is started by a Mesos agent")
        if token is not None and not _TOKEN.fullmatch(token):
            raise UserError("cannot use MESOS_EXECUTOR_AUTHENTICATION_TOKEN: it is no token that fits into a header")
        directory = environ.get("MESOS_DIRECTORY") or environ.get("MESOS_SANDBOX") or "."
        found = cls(
            agent_endpoint=environ["MESOS_AGENT_ENDPOINT"],
            framework_id=environ["MESOS_FRAMEWORK_ID"],
            executor_id=environ["MESOS_EXECUTOR_ID"],
            directory=directory,
            sandbox=environ.get("MESOS_SANDBOX") or directory,
            checkpoint=environ.get("MESOS_CHECKPOINT") == "1",
            recovery_timeout_s=_duration(environ, "MESOS_RECOVERY_TIMEOUT", "15mins"),
            subscription_backoff_max_s=_duration(environ, "MESOS_SUBSCRIPTION_BACKOFF_MAX", "2secs"),
            shutdown_grace_period_s=_duration(environ, "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
            token=token or None,
            domain_socket=environ.get("MESOS_DOMAIN_SOCKET") or None,
            tls=_tls(environ),
        )
        parse_endpoint(found.agent_endpoint)
        return found

    @property
    def endpoint(self) -> Endpoint:
        """Where to connect. On a Unix socket there is never TLS; that is how agents serve it."""
        host, port = parse_endpoint(self.agent_endpoint)
        if self.domain_socket is not None:
            return Endpoint(host, port, socket_path=self.domain_socket)
        return Endpoint(host, port, tls=self.tls)


_REQUIRED = ("MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID")


def parse_endpoint(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`."""
    match = _ENDPOINT.fullmatch(text)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UserError(f"cannot read MESOS_AGENT_ENDPOINT {text!r}: it should be host:port")
    return match["v6"] or match["host"], int(match["port"])


def parse_duration(text: str) -> float:
    """Seconds, from Mesos' way to write them: `15mins`, `2secs`, `500ms`. ValueError for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or match[2] not in _SECONDS:
        raise ValueError(f"{text!r} is no duration such as 15mins, 2secs or 500ms")
    return float(match[1]) * _SECONDS[match[2]]


def _duration(environ: MutableMapping[str, str], name: str, default: str) -> float:
    try:
        return parse_duration(environ.get(name) or default)
    except ValueError as error:
        raise UserError(f"cannot read {name}: {error}") from None


def _tls(environ: MutableMapping[str, str]) -> Tls | None:
    """As libprocess reads it, under its names of all times; but certificates are checked unless that is switched off
    in words, and without authorities of one's own the system's count."""

    def get(name: str) -> str | None:
        return environ.get(f"LIBPROCESS_SSL_{name}") or environ.get(f"SSL_{name}") or environ.get(f"MESOS_SSL_{name}")

    if get("ENABLED") not in ("1", "true"):
        return None
    wish = get("VERIFY_SERVER_CERT") or get("VERIFY_CERT")
    return Tls(
        ca_file=get("CA_FILE"),
        ca_dir=get("CA_DIR"),
        cert_file=get("CERT_FILE"),
        key_file=get("KEY_FILE"),
        verify=wish not in ("0", "false"),
    )
