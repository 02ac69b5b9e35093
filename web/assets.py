"""The static files: read once, addressed by their content, so browsers may keep them for ever.

`url("style.css")` is `/assets/style.css?v=<hash>`; a server answers `/assets/<name>` from `ASSETS`, whatever the hash.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from web.core.ansi import ansi_css

STATIC = Path(__file__).parent / "static"

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A static file as it is sent."""

    name: str
    body: bytes
    content_type: str
    version: str

    @property
    def url(self) -> str:
        return f"/assets/{self.name}?v={self.version}"


def _asset(name: str, body: bytes) -> Asset:
    return Asset(name, body, _TYPES[Path(name).suffix], hashlib.sha256(body).hexdigest()[:12])


def load_assets() -> dict[str, Asset]:
    """All of them, by name."""
    files = {file.name: file.read_bytes() for file in sorted(STATIC.iterdir()) if file.suffix in _TYPES}
    files["ansi.css"] = ansi_css().encode()
    return {name: _asset(name, body) for name, body in files.items()}


ASSETS = load_assets()


def url(name: str) -> str:
    return ASSETS[name].url
