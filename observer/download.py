"""Whole files, as attachments: sent by the kernel (sendfile) from the descriptor that was checked, ranges included."""

from __future__ import annotations

import os
from urllib.parse import quote

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from observer.core.sandbox_path import shown
from observer.files import OpenFile


class Attachment(web.FileResponse):
    """A file that is open already; owns a descriptor of its own until it was sent."""

    def __init__(self, file: OpenFile, name: str) -> None:
        self._held = os.dup(file.fd)
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in shown(name))[:100] or "file"
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(shown(name), safe='')}",
            "Cache-Control": "no-store",
        }
        super().__init__(f"/proc/self/fd/{self._held}", headers=headers)

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        try:
            return await super().prepare(request)
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the descriptor; may be called twice."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
