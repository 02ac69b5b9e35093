"""TLS for a `Line`. Imported with the first https connection only, because ssl is large."""

from __future__ import annotations

import socket
import ssl

from mesos.line import Tls, Wait
from thermos.errors import UserError


class TlsChannel:
    """A connected socket with TLS on it, which never blocks."""

    def __init__(self, sock: socket.socket, host: str, tls: Tls) -> None:
        self._socket = _context(tls).wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
        )

    def handshake(self) -> Wait | None:
        try:
            self._socket.do_handshake()
        except ssl.SSLWantReadError:
            return Wait.READABLE
        except ssl.SSLWantWriteError:
            return Wait.WRITABLE
        return None

    def send(self, data: memoryview) -> int | Wait:
        try:
            return self._socket.send(data)
        except ssl.SSLWantReadError:
            return Wait.READABLE
        except ssl.SSLWantWriteError:
            return Wait.WRITABLE

    def receive(self, size: int) -> bytes | Wait:
        try:
            return self._socket.recv(size)
        except ssl.SSLWantReadError:
            return Wait.READABLE
        except ssl.SSLWantWriteError:
            return Wait.WRITABLE

    def close(self) -> None:
        self._socket.close()


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file, capath=tls.ca_dir)
        if tls.cert_file is not None:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as error:  # ssl.SSLError is one
        files = ", ".join(path for path in (tls.ca_file, tls.ca_dir, tls.cert_file, tls.key_file) if path)
        raise UserError(f"cannot use the certificates {files}: {error.strerror or error}") from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
