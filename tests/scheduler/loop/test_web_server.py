"""Where the web server listens, in the clear and with TLS, and to which names it answers."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from scheduler import web_server
from scheduler.flags import Flags
from scheduler.settings import Settings, Whoever, settings_of
from scheduler.web_server import WebServer, host_names, is_loopback
from thermos.errors import HostError, UserError


def settings(**given: Any) -> Settings:
    flags = Flags(**{"cluster_name": "rz1", "mesos_master_address": "m:5050", "http_port": 0, **given})
    return settings_of(flags, Whoever("me", False, "here.example", Path("/nowhere")))


def certificate(folder: Path) -> tuple[str, str]:
    """(certificate, key)"""
    cert, key = folder / "cert", folder / "key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return str(cert), str(key)


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


def app() -> web.Application:
    made = web.Application()
    made.router.add_get("/", hello)
    return made


async def fetch(url: str, context: ssl.SSLContext | None = None) -> bytes:
    def ask() -> bytes:
        with urllib.request.urlopen(url, context=context, timeout=20) as answer:
            body: bytes = answer.read()
            return body

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT"])
async def test_who_does_not_get_on_is_sent_away(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(web_server, "IDLE_S", 0.2)
    server = WebServer(app(), settings())
    await server.start()
    try:
        url = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(said)
        async with asyncio.timeout(30):
            while await reader.read(1000):
                pass
        writer.close()
    finally:
        await server.stop()


async def test_any_free_port() -> None:
    server = WebServer(app(), settings())
    await server.start()
    try:
        assert server.url.startswith("http://127.0.0.1:")
        assert await fetch(server.url + "/") == b"hello"
        taken = int(server.url.rpartition(":")[2])
        other = WebServer(app(), settings(http_port=taken))
        with pytest.raises(HostError, match=f"cannot listen on 127.0.0.1:{taken}: Address already in use"):
            await other.start()
        await other.stop()
    finally:
        await server.stop()


async def test_everywhere_is_told_by_our_name() -> None:
    server = WebServer(app(), settings(ip="0.0.0.0"))
    await server.start()
    assert server.url.startswith("http://here.example:")
    await server.stop()


async def test_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = WebServer(app(), settings(tls_cert=cert, tls_key=key))
    await server.start()
    try:
        assert server.url.startswith("https://127.0.0.1:")
        assert await fetch(server.url + "/", ssl.create_default_context(cafile=cert)) == b"hello"
    finally:
        await server.stop()


async def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--tls_key needs --tls_cert"):
        WebServer(app(), settings(tls_key="/x"))
    with pytest.raises(HostError, match="cannot use the certificate /nowhere: "):
        WebServer(app(), settings(tls_cert="/nowhere"))


def test_on_loopback_only_our_own_names_are_answered_to() -> None:
    names = host_names("127.0.0.1", ["Other.Example"], is_protected=False)
    assert {"127.0.0.1", "localhost", "[::1]", "other.example"} <= names
    assert "evil.example" not in names
    assert host_names("127.0.0.1", [], is_protected=True) == frozenset()
    assert host_names("0.0.0.0", ["x"], is_protected=False) == frozenset()
    assert [is_loopback(ip) for ip in ("127.0.0.11", "::1", "localhost", "10.0.0.1", "::")] == [True] * 3 + [False] * 2
