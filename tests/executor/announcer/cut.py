"""A wire to a server that can be cut, and that can swallow what the server answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Cut:
    """Listens on `port`, relays to a port of this host. `off`: all connections break and none is taken."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.swallow_answers_after: bytes | None = None  # a request with these bytes: nothing comes back any more
        self.swallowed = False
        self._muted: set[socket.socket] = set()
        self._open: set[socket.socket] = set()
        self._is_off = False
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.off()
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def off(self) -> None:
        with self._lock:
            self._is_off = True
            for s in self._open:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def on(self) -> None:
        with self._lock:
            self._is_off = False

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            with self._lock:
                if self._is_off:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target), 5)
                except OSError:
                    near.close()
                    continue
                self._open |= {near, far}
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        with contextlib.suppress(OSError):
            source.settimeout(None)
            while data := source.recv(65536):
                if to_server and self.swallow_answers_after and self.swallow_answers_after in data:
                    self._muted.add(sink)
                if not to_server and source in self._muted:
                    self.swallowed = True
                    continue
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
