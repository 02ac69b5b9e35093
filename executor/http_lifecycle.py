"""The endpoints by which an application is asked to end: `/quitquitquit`, then `/abortabortabort`."""

from __future__ import annotations

from executor.local_http import Browser
from mesos.line import LineError


def post_endpoint(port: int, endpoint: str, timeout_s: float) -> bool:
    """POST without a body to a port of our task; blocking, for a worker. True when the application handled it: it
    answered with 2xx. A 404 says that it knows no such endpoint; nobody needs to wait for what it does then."""
    slash = "" if endpoint.startswith("/") else "/"
    try:
        answer = Browser().ask("POST", f"http://localhost:{port}{slash}{endpoint}", timeout_s)
    except LineError:
        return False
    return 200 <= answer.status < 300
