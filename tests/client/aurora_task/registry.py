"""A Docker registry on the loopback that answers what a test wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIGEST = f"sha256:{'ab' * 32}"
Answer = tuple[int, dict[str, str], bytes]


class FakeRegistry(ThreadingHTTPServer):
    """Answers by path; notes (method, path, authorization) of every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, str | None]] = []
        self.accepted: list[str] = []
        self.answers: dict[str, Answer | Callable[[str | None], Answer]] = {"/v2/": (200, {}, b"")}
        self.place = f"127.0.0.1:{self.server_address[1]}"
        self.url = f"http://{self.place}"

    def has(self, name: str, tag: str, digest: str = DIGEST) -> None:
        self.answers[f"/v2/{name}/manifests/{tag}"] = (200, {"Docker-Content-Digest": digest}, b"")

    def wants_token(self, name: str, tag: str, token: str = "t0k", challenge: str | None = None) -> None:
        scope = f'scope="repository:{name}:pull"'
        asks = challenge if challenge is not None else f'Bearer realm="{self.url}/token",service="fake",{scope}'

        def manifest(authorization: str | None) -> Answer:
            if authorization == f"Bearer {token}":
                return 200, {"Docker-Content-Digest": DIGEST}, b""
            return 401, {"WWW-Authenticate": asks}, b""

        self.answers[f"/v2/{name}/manifests/{tag}"] = manifest
        self.answers["/token"] = (200, {}, json.dumps({"token": "t0k"}).encode())


class _Handler(BaseHTTPRequestHandler):
    server: FakeRegistry

    def do_GET(self) -> None:
        authorization = self.headers.get("Authorization")
        self.server.asked.append((self.command, self.path, authorization))
        self.server.accepted.append(self.headers.get("Accept", ""))
        answer = self.server.answers.get(self.path.partition("?")[0], (404, {}, b"{}"))
        status, headers, body = answer(authorization) if callable(answer) else answer
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def serve() -> Iterator[FakeRegistry]:
    """A registry until it is not needed any more."""
    server = FakeRegistry()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
