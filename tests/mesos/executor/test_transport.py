"""The ways to an agent: a Unix socket, TLS with an authority of one's own, IPv6; and tokens."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mesos.core.messages import TaskState
from mesos.executor_driver import ExecutorOptions
from mesos.line import Tls
from tests.mesos.executor.agents import ACCEPTED, HELLO, OK, Talk, running, serving
from tests.mesos.executor.puppets import status
from thermos.clock import now


class Listening:
    """A good agent that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, str], dict[str, Any]]] = []

    def __call__(self, talk: Talk) -> None:
        while (request := talk.request()) is not None:
            self.heard.append(request)
            if request[1]["type"] == "SUBSCRIBE":
                talk.send(OK + HELLO)
                talk.until_closed()
                return
            talk.send(ACCEPTED)

    @property
    def types(self) -> list[str]:
        return [call["type"] for _, call in self.heard]


def converse(script: Listening, port: int, **more: Any) -> None:
    with running(port, **more) as executor:
        executor.until_told("subscribed")
        executor.driver.update(status("t", TaskState.FINISHED), now())
        executor.until(lambda: len(script.heard) == 2)
        assert script.types == ["SUBSCRIBE", "UPDATE"]
        assert executor.listener.of("problem") == []


def test_what_is_sent_over_tcp() -> None:
    script = Listening()
    with serving(script) as agent:
        port = agent.port
        converse(script, port, token="abc.def")
    for headers, call in script.heard:
        assert headers["request"] == "POST /api/v1/executor HTTP/1.1"
        assert headers["host"] == f"127.0.0.1:{port}"
        assert headers["authorization"] == "Bearer abc.def"
        assert headers["content-type"] == headers["accept"] == "application/json"
        assert call["framework_id"] == {"value": "fw"} and call["executor_id"] == {"value": "ex"}
    assert script.heard[0][1]["subscribe"] == {"unacknowledged_tasks": [], "unacknowledged_updates": []}


def test_without_a_token_there_is_no_such_header() -> None:
    script = Listening()
    with serving(script) as agent:
        converse(script, agent.port)
    assert all("authorization" not in headers for headers, _ in script.heard)


def test_a_unix_socket(tmp_path: Path) -> None:
    script = Listening()
    with serving(script, path=tmp_path / "s"):
        converse(script, 5051, domain_socket=str(tmp_path / "s"))


def test_a_unix_socket_with_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    script = Listening()
    with serving(script, path=Path("s")):
        converse(script, 5051, domain_socket=str(deep / "s"))


def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    with running(5051, domain_socket=str(tmp_path / "absent" / "s")) as executor:
        assert executor.until_told("problem")[0] == f"cannot connect to {tmp_path}/absent/s: No such file or directory"


def test_ipv6() -> None:
    script = Listening()

    def wrap(listener: socket.socket) -> socket.socket:
        listener.close()
        return socket.create_server(("::1", 0), family=socket.AF_INET6)

    with serving(script, wrap=wrap) as agent:
        converse(script, agent.port, agent_endpoint=f"[::1]:{agent.port}")


def test_a_name_that_nobody_knows() -> None:
    with running(1, ExecutorOptions(attempt_s=1.0), agent_endpoint="no-such-host.invalid:5051") as executor:
        assert executor.until_told("problem")[0].startswith("cannot connect to no-such-host.invalid:5051: ")


# --- TLS ---------------------------------------------------------------------------------------------------------


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and certificates with keys for the agent and for an executor."""
    folder = tmp_path_factory.mktemp("ca")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=test CA")
    for name in ("agent", "executor"):
        openssl("req", *key, "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
        openssl(
            *("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key"),
            *("-CAcreateserial", "-extfile", folder / "ext", "-out", folder / f"{name}.pem"),
        )
    return folder


def tls_server(folder: Path, *, client: bool = False) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "agent.pem", folder / "agent.key")
    if client:
        context.load_verify_locations(folder / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    return lambda listener: context.wrap_socket(listener, server_side=True)


def test_tls_with_an_authority_of_ones_own(authority: Path) -> None:
    script = Listening()
    with serving(script, wrap=tls_server(authority)) as agent:
        converse(script, agent.port, tls=Tls(ca_file=str(authority / "ca.pem")), token="secret")


def test_tls_with_a_certificate_of_the_executor(authority: Path) -> None:
    script = Listening()
    tls = Tls(
        ca_file=str(authority / "ca.pem"),
        cert_file=str(authority / "executor.pem"),
        key_file=str(authority / "executor.key"),
    )
    with serving(script, wrap=tls_server(authority, client=True)) as agent:
        converse(script, agent.port, tls=tls)


def test_an_agent_that_nobody_vouches_for_gets_no_token(authority: Path) -> None:
    script = Listening()
    with serving(script, wrap=tls_server(authority)) as agent, running(agent.port, tls=Tls()) as executor:
        assert "certificate verify failed" in executor.until_told("problem")[0]
        assert script.heard == []


def test_an_agent_with_somebody_elses_name_gets_no_token(authority: Path) -> None:
    script = Listening()
    tls = Tls(ca_file=str(authority / "ca.pem"))
    with serving(script, wrap=tls_server(authority)) as agent:
        name = f"localhost:{agent.port}"
        with running(agent.port, tls=tls, agent_endpoint=name) as executor:
            assert "certificate verify failed" in executor.until_told("problem")[0]
            assert script.heard == []


def test_checking_can_be_switched_off(authority: Path) -> None:
    script = Listening()
    with serving(script, wrap=tls_server(authority)) as agent:
        converse(script, agent.port, tls=Tls(verify=False))


def test_certificates_that_can_not_be_read_are_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("no certificate")
    for name in ("absent", "bad"):
        tls = Tls(ca_file=str(tmp_path / name))
        script = Listening()
        with serving(script) as agent, running(agent.port, tls=tls) as executor:
            assert executor.until_told("shutdown")[0].startswith(f"cannot use the certificates {tmp_path / name}: ")


def test_stop_ends_a_handshake_that_hangs() -> None:
    with serving(Talk.until_closed) as agent, running(agent.port, tls=Tls(verify=False)) as executor:
        executor.until(lambda: agent.talks and agent.talks[0]._buffer)


def test_ssl_is_imported_for_https_only() -> None:
    code = """import sys, mesos.executor_driver, thermos.host.loop
print([name for name in ("ssl", "asyncio", "email", "http", "thermos.runner") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
