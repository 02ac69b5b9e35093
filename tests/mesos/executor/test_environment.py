"""What an agent tells an executor in its environment, as a real one does."""

from __future__ import annotations

import pytest

from mesos.executor_environment import ExecutorEnvironment, parse_duration
from mesos.line import Endpoint, Tls
from thermos.errors import UserError

#: Of a real agent, 1.11.0, with checkpointing and JWT.
REAL = {
    "LIBPROCESS_IP": "127.0.0.1",
    "LIBPROCESS_PORT": "0",
    "MESOS_AGENT_ENDPOINT": "127.0.0.1:17101",
    "MESOS_CHECKPOINT": "1",
    "MESOS_DIRECTORY": "/var/lib/mesos/run",
    "MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.xx-_",
    "MESOS_EXECUTOR_ID": "ex",
    "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "5secs",
    "MESOS_FRAMEWORK_ID": "605c1cb7-0000",
    "MESOS_HTTP_COMMAND_EXECUTOR": "0",
    "MESOS_RECOVERY_TIMEOUT": "15mins",
    "MESOS_SANDBOX": "/mnt/mesos/sandbox",
    "MESOS_SLAVE_ID": "605c1cb7-S0",
    "MESOS_SLAVE_PID": "slave(1)@127.0.0.1:17101",
    "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs",
    "PATH": "/bin",
}


def read(**more: str | None) -> ExecutorEnvironment:
    given = REAL | more
    return ExecutorEnvironment.read({name: value for name, value in given.items() if value is not None})


def test_a_real_agents_environment() -> None:
    assert read() == ExecutorEnvironment(
        agent_endpoint="127.0.0.1:17101",
        framework_id="605c1cb7-0000",
        executor_id="ex",
        directory="/var/lib/mesos/run",
        sandbox="/mnt/mesos/sandbox",
        checkpoint=True,
        recovery_timeout_s=900.0,
        subscription_backoff_max_s=2.0,
        shutdown_grace_period_s=5.0,
        token="eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.xx-_",
    )
    assert read().endpoint == Endpoint("127.0.0.1", 17101)


def test_the_token_is_erased_even_when_the_rest_is_useless() -> None:
    for environ in (dict(REAL), {"MESOS_EXECUTOR_AUTHENTICATION_TOKEN": "x"}):
        try:
            ExecutorEnvironment.read(environ)
        except UserError:
            pass
        assert "MESOS_EXECUTOR_AUTHENTICATION_TOKEN" not in environ


def test_the_least_that_is_needed() -> None:
    for name in ("MESOS_RECOVERY_TIMEOUT", "MESOS_SUBSCRIPTION_BACKOFF_MAX", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"):
        read(**{name: None})
        read(**{name: ""})
    environment = read(MESOS_SANDBOX=None)
    assert environment.sandbox == environment.directory == "/var/lib/mesos/run"
    for name in ("MESOS_AGENT_ENDPOINT", "MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID"):
        with pytest.raises(UserError, match=rf"^cannot be a Mesos executor without {name}: it is started by"):
            read(**{name: None})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15mins", 900),
        ("2secs", 2),
        ("500ms", 0.5),
        ("1.5hrs", 5400),
        ("1days", 86400),
        ("2weeks", 1209600),
        ("250us", 0.00025),
        ("7ns", 7e-9),
        ("0secs", 0),
        ("0.5mins", 30),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "secs", "5 parsecs", "-1secs", "1e3secs", "5secs!", "٣secs x"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration such as"):
        parse_duration(text)
    if text:
        with pytest.raises(UserError, match=r"^cannot read MESOS_RECOVERY_TIMEOUT: "):
            read(MESOS_RECOVERY_TIMEOUT=text)


@pytest.mark.parametrize("text", ["127.0.0.1", ":5051", "host:", "host:0", "host:65536", "a:b:1", "::1:5", "host:x"])
def test_no_endpoints(text: str) -> None:
    with pytest.raises(UserError, match=r"^cannot read MESOS_AGENT_ENDPOINT"):
        read(MESOS_AGENT_ENDPOINT=text)


def test_ipv6() -> None:
    endpoint = read(MESOS_AGENT_ENDPOINT="[::1]:5051").endpoint
    assert (endpoint.host, endpoint.port, endpoint.authority) == ("::1", 5051, "[::1]:5051")


def test_a_token_that_would_break_a_header() -> None:
    with pytest.raises(UserError, match=r"^cannot use MESOS_EXECUTOR_AUTHENTICATION_TOKEN"):
        read(MESOS_EXECUTOR_AUTHENTICATION_TOKEN="a\r\nX: y")


def test_a_domain_socket_is_used_and_never_with_tls() -> None:
    environment = read(MESOS_DOMAIN_SOCKET="/run/mesos/executor.sock", LIBPROCESS_SSL_ENABLED="true")
    assert environment.endpoint == Endpoint("127.0.0.1", 17101, socket_path="/run/mesos/executor.sock")


@pytest.mark.parametrize("prefix", ["LIBPROCESS_SSL_", "SSL_", "MESOS_SSL_"])
def test_tls(prefix: str) -> None:
    def tls(**more: str) -> Tls | None:
        return read(**{prefix + name: value for name, value in more.items()}).tls

    assert tls() is None and tls(ENABLED="false") is None and tls(ENABLED="0") is None
    assert tls(ENABLED="1") == Tls()
    assert tls(ENABLED="true", CA_FILE="/ca", CERT_FILE="/c", KEY_FILE="/k", VERIFY_CERT="true") == Tls(
        ca_file="/ca", cert_file="/c", key_file="/k"
    )
    assert tls(ENABLED="true", VERIFY_SERVER_CERT="false") == Tls(verify=False)
    assert tls(ENABLED="true", CA_DIR="/ca", VERIFY_CERT="0") == Tls(ca_dir="/ca", verify=False)
